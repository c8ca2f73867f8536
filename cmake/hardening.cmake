# What makes a memory error in our programs hard to use, where the compiler and the machine know it:
#
#   FORTIFY          libc's copying functions check the sizes that the compiler can tell them
#   stack protector  a canary stands before the return address
#   CET              indirect jumps need a landing pad, and a shadow stack can check the returns
#   RELRO, now       what is linked at the start is read-only from then on
#   PIE              the program stands at another place each time
#
# Every target has them by way of echobench_options; tests/test_hardened_build.py looks for each in
# what was built.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-fcf-protection=full ECHOBENCH_HAS_CET)  # x86 only

target_compile_options(echobench_options INTERFACE
  -fPIE $<$<BOOL:${ECHOBENCH_HAS_CET}>:-fcf-protection=full>)
# A sanitizer watches the stack itself; and with canaries too, GCC 12 puts objects that ask for a cache
# line of their own where none begins.
if(NOT "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_DEBUG}" MATCHES "-fsanitize=")
  target_compile_options(echobench_options INTERFACE -fstack-protector-strong)
endif()
target_link_options(echobench_options INTERFACE -pie LINKER:-z,relro LINKER:-z,now)

# It needs an optimiser to know sizes; GCC 12 and clang 9 follow those that are known at run time only.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  set(fortify_level 2)
else()
  set(fortify_level 3)
endif()
target_compile_options(echobench_options INTERFACE
  "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=${fortify_level}>")
