/* What `protlm info` says of the libraries is what the build does with them. */
#include "support/unit.h"

#include "app/info_libraries.h"
#include "kernels/cpu/backend_cpu.h"

static const char *version_of(const char *name) {
  static plm_library libraries[PLM_LIBRARIES];
  plm_libraries_list(libraries);
  for (int i = 0; i < PLM_LIBRARIES; i++)
    if (strcmp(libraries[i].name, name) == 0) return libraries[i].version;
  fail_msg("%s is not listed", name);
  return "";
}

/* The library may be installed and still be no part of the build: its threads are OpenMP's. */
static void onednn_is_listed_where_it_computes_the_products(void **state) {
  (void)state;
  char products[32];
  plm_cpu_products_name(products);
  assert_int_equal(strncmp(products, "oneDNN", 6) == 0, version_of("oneDNN")[0] != '\0');
  assert_int_equal(strncmp(products, "oneDNN", 6) == 0, PLM_HAVE_ONEDNN); /* what env.json says */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(onednn_is_listed_where_it_computes_the_products)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
