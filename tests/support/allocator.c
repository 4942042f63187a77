/* allocator.c - all test programs have jansson allocate as protlm does, so that its allocations fail and are counted
 * too. */
#include "base/json.h"

__attribute__((constructor)) static void give_jansson_our_allocator(void) { plm_json_use_our_allocator(); }
