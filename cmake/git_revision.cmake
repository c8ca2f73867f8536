# Writes the header that says which revision is built, and touches it only where that changed. How
# long git makes an abbreviation would else depend on how many objects a clone has.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --tags --abbrev=10
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(revision "unknown")
endif()
set(text "#define ECHOBENCH_GIT \"${revision}\"\n")
if(EXISTS ${HEADER})
  file(READ ${HEADER} old)
endif()
if(NOT "${text}" STREQUAL "${old}")
  file(WRITE ${HEADER} "${text}")
endif()
