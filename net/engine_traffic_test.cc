// Both engines under random traffic, every byte compared (net/testing_traffic.h).
#include <gtest/gtest.h>

#include "net/testing_engine.h"
#include "net/testing_traffic.h"

namespace net::test {
namespace {

TYPED_TEST_SUITE(EngineTest, Engines, EngineName);

TYPED_TEST(EngineTest, SurvivesRandomTraffic) {
  for (const unsigned seed : {1U, 2U}) {
    SCOPED_TRACE(seed);
    if (this->HasFailure()) return;
    this->make_program(0);
    RandomTraffic traffic(this->program(), seed, 200);
    traffic.run(2000);
    traffic.finish();
  }
}

TYPED_TEST(EngineTest, SurvivesRandomTrafficOfFew) {
  for (unsigned seed = 10; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    if (this->HasFailure()) return;
    this->make_program(seed % 2 == 0 ? kNever : 0);
    RandomTraffic traffic(this->program(), seed, 5);
    traffic.run(1000);
    traffic.finish();
  }
}

}  // namespace
}  // namespace net::test
