# shellcheck shell=bash
#
# How a script gets the programs that it runs: what they need is installed (it says so first), and
# they are built in build/release. Sourced, with scripts/packages.sh, by those that measure.

# build_programs WHO INSTALL ROOT [PACKAGES [TARGET...]]: WHO is named in messages; INSTALL is yes, or
# no to fail instead; PACKAGES are needed beside those to build, TARGETs are built beside the programs.
build_programs() {
  local who=$1 install=$2 root=$3 packages=$PACKAGES_BUILD${4:-} log=$3/build/quickstart.log lacking
  local targets=(echo-server loadgen echo-client "${@:5}")
  if [[ $install == yes ]]; then
    install_packages "$who" "$packages" || return 1
  else
    lacking=$(missing_packages "$packages")
    [[ -z $lacking ]] || { printf '%s: missing packages: %s\n' "$who" "${lacking//$'\n'/ }" >&2 && return 1; }
  fi
  mkdir -p "$root/build"
  # A tree that scripts/test configured stays as it is, so that nothing is built anew.
  if [[ ! -f $root/build/release/build.ninja ]]; then
    printf '%s: configuring (build/release)\n' "$who" >&2
    if ! (cd "$root" && cmake --preset release -DECHOBENCH_TESTS=OFF) > "$log" 2>&1; then
      cat "$log" >&2
      return 1
    fi
  fi
  printf '%s: building the programs (build/release)\n' "$who" >&2
  cmake --build "$root/build/release" --target "${targets[@]}" >&2
}
