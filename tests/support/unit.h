/* unit.h - cmocka with the headers it wants first, and assertions on plm_status that print the message. */
#ifndef TESTS_SUPPORT_UNIT_H
#define TESTS_SUPPORT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protlm/status.h"

/* The call succeeds; otherwise its message and trace are the test's failure. */
#define assert_ok(call)                                                                           \
  do {                                                                                            \
    plm_status status_ = (call);                                                                  \
    if (status_ != PLM_OK) fail_msg("%s: %s\n%s", #call, plm_error_message(), plm_error_trace()); \
  } while (0)

/* The call fails with this code, and its message contains `words`. */
#define assert_fails(call, code, words)                                                               \
  do {                                                                                                \
    plm_status status_ = (call);                                                                      \
    if (status_ != (code))                                                                            \
      fail_msg("%s: expected %s, got %s: %s", #call, plm_status_name(code), plm_status_name(status_), \
               plm_error_message());                                                                  \
    if (strstr(plm_error_message(), (words)) == NULL && strstr(plm_error_hint(), (words)) == NULL)    \
      fail_msg("%s: message '%s' does not say '%s'", #call, plm_error_message(), (words));            \
  } while (0)

#include <string.h>

#endif
