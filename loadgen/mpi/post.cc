#include "loadgen/mpi/post.h"

#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace loadgen::mpi {
namespace {

constexpr unsigned kEndWithin = 3;  // seconds

std::atomic<int> exit_status = 0;

/// A letter on its way. MPI reads or writes the bytes until the request is done.
struct Parcel {
  Bytes bytes;
  int from = 0;
  int kind = 0;
  MPI_Request request = MPI_REQUEST_NULL;

  bool is_done() {
    int done = 0;
    return MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
  }
};

}  // namespace

struct Post::Requests {
  std::list<Parcel> out;
  std::list<Parcel> in;  // in the order in which they came
};

Post::Post(int& argc, char**& argv) : requests_(std::make_unique<Requests>()) {
  int provided = 0;
  if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    throw std::runtime_error("MPI does not start");
  }
  // A peer that cannot be reached shows by its silence; it must not end this process.
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

Post::~Post() = default;

void Post::send(int to, Kind kind, const Json& body) {
  Parcel& parcel = requests_->out.emplace_back();
  parcel.bytes = Json::to_cbor(body);
  MPI_Isend(parcel.bytes.data(), static_cast<int>(parcel.bytes.size()), MPI_BYTE, to,
            static_cast<int>(kind), MPI_COMM_WORLD, &parcel.request);
  all_sent();  // NOLINT(clang-analyzer-optin.mpi.MPI-Checker): what it waits for is in `out`
}

bool Post::all_sent() {
  requests_->out.remove_if([](Parcel& parcel) { return parcel.is_done(); });
  return requests_->out.empty();
}

std::optional<Letter> Post::receive() {
  std::list<Parcel>& in = requests_->in;
  for (int vain = 0; vain < 2;) {  // what a probe reads from a socket, the next one finds
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    if (MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &found, &message, &status) !=
            MPI_SUCCESS ||
        found == 0) {
      ++vain;
      continue;
    }
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    Parcel& parcel = in.emplace_back();
    parcel.bytes.resize(static_cast<std::size_t>(size));
    parcel.from = status.MPI_SOURCE;
    parcel.kind = status.MPI_TAG;
    MPI_Imrecv(parcel.bytes.data(), size, MPI_BYTE, &message, &parcel.request);
  }
  // One that is still on its way holds up those behind it from the same rank, and no others.
  std::vector<bool> held_up(static_cast<std::size_t>(size_));
  for (auto it = in.begin(); it != in.end(); ++it) {
    const auto from = static_cast<std::size_t>(it->from);
    if (held_up[from]) continue;
    if (!it->is_done()) {
      held_up[from] = true;
      continue;
    }
    Letter letter{
        .from = it->from, .kind = static_cast<Kind>(it->kind), .body = Json::from_cbor(it->bytes)};
    in.erase(it);
    return letter;
  }
  return std::nullopt;
}

void Post::end(int status) {
  exit_status = status;
  struct sigaction at_once {};
  at_once.sa_handler = [](int) { ::_exit(exit_status); };
  ::sigaction(SIGALRM, &at_once, nullptr);
  ::alarm(kEndWithin);
  MPI_Finalize();
  ::alarm(0);
}

}  // namespace loadgen::mpi
