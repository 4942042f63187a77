/* Time goes forward, and stands where a test puts it. */
#include "support/unit.h"

#include <time.h>

#include "base/clock.h"

static void clocks_go_forward(void **state) {
  (void)state;
  double monotonic = plm_clock_monotonic(), cpu = plm_clock_cpu();
  while (plm_clock_cpu() <= cpu) continue;
  assert_true(plm_clock_monotonic() > monotonic);
  double now = (double)time(NULL);
  assert_true(plm_clock_wall() > now - 5 && plm_clock_wall() < now + 5);
}

static void a_fake_clock_stands_until_it_is_set(void **state) {
  (void)state;
  plm_clock_set_fake(0);
  assert_true(plm_clock_monotonic() == 0 && plm_clock_wall() == 0);
  plm_clock_set_fake(1e9);
  assert_true(plm_clock_monotonic() == 1e9 && plm_clock_wall() == 1e9 && plm_clock_cpu() < 1e6);
  plm_clock_set_fake(-1);
  assert_true(plm_clock_wall() > 1e9);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(clocks_go_forward),
                                     cmocka_unit_test(a_fake_clock_stands_until_it_is_set)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
