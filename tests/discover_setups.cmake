# SPDX-License-Identifier: Apache-2.0
# Read by ctest when it starts, for a program whose cases share a cluster: one test for each suite and parameter, named
# "<label>/<Suite>/<parameter>". weft_test() sets label, program, shared (the suite), timeout and alone before.
execute_process(COMMAND ${program} --gtest_list_tests --gtest_filter=*.*/* OUTPUT_VARIABLE listed RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  add_test(${label}/${program} ${program} --gtest_list_tests) # which fails, and says why
  return()
endif()
string(REPLACE "\n" ";" lines "${listed}")
set(suite)
set(seen)
foreach(line IN LISTS lines)
  if(line MATCHES "^([^ ]+)\\.")
    set(suite ${CMAKE_MATCH_1})
  elseif(suite MATCHES "^([^/]*/)?${shared}$" AND line MATCHES "^  [^/ ]+/([^ ]+)")
    set(setup ${CMAKE_MATCH_1})
    set(name ${label}/${suite}/${setup})
    list(FIND seen ${name} at) # ctest runs this without the policy that IN_LIST wants
    if(at EQUAL -1)
      list(APPEND seen ${name})
      add_test(${name} ${program} --gtest_filter=${suite}.*/${setup})
      set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} RUN_SERIAL ${alone}
                           SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
    endif()
  endif()
endforeach()
