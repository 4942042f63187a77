# Flags for all of our code, and plm_room(name): the folder src/<name> as an object library. A room compiles every .c file it holds;
# files that need flags of their own get them in the room's CMakeLists.txt.
add_library(plm_flags INTERFACE)
target_include_directories(plm_flags INTERFACE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_BINARY_DIR}/generated")
target_compile_options(plm_flags INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wconversion
  -fno-math-errno -fno-semantic-interposition -fvisibility=hidden)
if(PROTLM_WERROR)
  target_compile_options(plm_flags INTERFACE -Werror)
endif()
if(PROTLM_SANITIZE)
  target_compile_options(plm_flags INTERFACE -fsanitize=${PROTLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(plm_flags INTERFACE -fsanitize=${PROTLM_SANITIZE})
  if(PROTLM_SANITIZE MATCHES "thread")
    target_compile_definitions(plm_flags INTERFACE PLM_PTHREAD_POOL=1) # the thread sanitizer cannot see into libgomp
  endif()
endif()

function(plm_room name)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  list(APPEND sources ${ARGN})
  if(NOT sources)
    return() # declared, not yet furnished
  endif()
  add_library(plm_${name} OBJECT ${sources})
  target_link_libraries(plm_${name} PUBLIC plm_flags plm_deps)
  set_property(GLOBAL APPEND PROPERTY PLM_ROOMS plm_${name})
endfunction()
