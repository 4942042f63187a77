/* Facts about the machine are sane. */
#include "support/unit.h"

#include <unistd.h>

#include "base/system.h"

static void the_machine_is_described(void **state) {
  (void)state;
  plm_system s;
  plm_system_read(&s);
  assert_true(strlen(s.hostname) > 0 && strlen(s.cpu) > 0 && strstr(s.os, "Linux") != NULL);
  assert_true(s.cpus >= 1 && s.cpus <= sysconf(_SC_NPROCESSORS_CONF));
  assert_true(s.memory > 1 << 20);
  assert_true(plm_peak_memory() > 1 << 20 && plm_peak_memory() <= (int64_t)1 << 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_machine_is_described)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
