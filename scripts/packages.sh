# shellcheck shell=bash
#
# The Debian and Ubuntu packages that this project needs, in one place, and how they are installed.
# Sourced by scripts/quickstart, scripts/experiment and scripts/test.
# shellcheck disable=SC2034  # the lists are read by those

# Each line: a package, and the program that makes it unnecessary where there is one already.
readonly PACKAGES_BUILD="
g++               c++
cmake             cmake
ninja-build       ninja
pkg-config        pkg-config
liburing-dev
libfmt-dev
libcli11-dev
nlohmann-json3-dev
zlib1g-dev
python3           /usr/bin/python3
"

# What scripts/report draws figures with; without it a report has tables only.
readonly PACKAGES_REPORT="
python3-matplotlib
"

# The libraries of bench/peers; without one, its server is not built and not measured.
readonly PACKAGES_PEERS="
libuv1-dev
libevent-dev
libboost-dev
"

# What scripts/costs counts with.
readonly PACKAGES_COSTS="
strace            strace
valgrind          valgrind
"

# What scripts/profile looks with.
readonly PACKAGES_PROFILE="
linux-perf        perf
"

# What scripts/recording draws a terminal with.
readonly PACKAGES_RECORDING="
python3-pyte
"

# What scripts/package makes Debian packages with; without scdoc, a build has no man pages.
readonly PACKAGES_PACKAGE="
git               git
scdoc             scdoc
dpkg-dev          dpkg-shlibdeps
"

# libhdrhistogram-java is a reader of what --hdr writes; the test that runs it takes the java that is
# there, and is skipped where there is none: a JRE is 200 MB.
readonly PACKAGES_TEST="$PACKAGES_REPORT$PACKAGES_PEERS$PACKAGES_COSTS$PACKAGES_RECORDING$PACKAGES_PACKAGE
libopenmpi-dev
openmpi-bin       mpirun
libgtest-dev
libbenchmark-dev
clang             clang++
clang-format      clang-format
clang-tidy        clang-tidy
shellcheck        shellcheck
python3-pytest
python3-hypothesis
python3-jsonschema
libhdrhistogram-java
tshark            tshark
python3-flake8
python3-mypy
netcat-openbsd    nc
iproute2          ss
procps            ps
systemd           systemd-analyze
bash-completion
zsh               zsh
fish              fish
lintian           lintian
debootstrap       debootstrap
"

is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2> /dev/null) == installed ]]
}

# missing_packages LIST: prints the packages of the list that are not there.
missing_packages() {
  local package program
  while read -r package program; do
    [[ -n $package ]] || continue
    [[ -n $program ]] && command -v "$program" > /dev/null && continue
    is_installed "$package" || printf '%s\n' "$package"
  done <<< "$1"
}

# install_packages WHO LIST: installs what is missing, and says so before. WHO is named in messages.
install_packages() {
  local who=$1 missing log apt=()
  if ! command -v dpkg-query > /dev/null; then
    printf '%s: no Debian, so nothing is installed; what these packages hold is needed:\n  %s\n' \
      "$who" "$(awk 'NF { printf "%s ", $1 }' <<< "$2")" >&2
    return 0
  fi
  mapfile -t missing < <(missing_packages "$2")
  ((${#missing[@]} > 0)) || return 0

  if ((EUID != 0)); then
    if ! command -v sudo > /dev/null; then
      printf '%s: missing, and neither root nor sudo is here to install them:\n  %s\n' \
        "$who" "${missing[*]}" >&2
      return 1
    fi
    apt=(sudo)
    [[ -t 0 ]] || apt+=(--non-interactive)
  fi
  printf '%s: installing with apt-get: %s\n' "$who" "${missing[*]}" >&2
  apt+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  # Where the lists cannot be had anew (offline, say), the old ones may do.
  if ! log=$({
    "${apt[@]}" update || true
    "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
  } 2>&1 < /dev/null); then
    printf '%s\n%s: apt-get could not install: %s\n' "$log" "$who" "${missing[*]}" >&2
    return 1
  fi
}
