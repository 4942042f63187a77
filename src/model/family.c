/* family.c - the registry of families. */
#include "model/family.h"

#include <string.h>

enum { MOST = 16 };
static const plm_family *families[MOST] = {&plm_family_esm2};
static int count = 1;

plm_status plm_family_register(const plm_family *family) {
  for (int i = 0; i < count; i++)
    if (strcmp(families[i]->name, family->name) == 0)
      return plm_fail(PLM_E_BUG, "there is a family '%s' already", family->name);
  if (plm_family_alphabet(family) == NULL)
    return plm_fail(PLM_E_BUG, "the family '%s' reads an alphabet '%s', which is not registered", family->name,
                    family->alphabet);
  if (count == MOST) return plm_fail(PLM_E_BUG, "there is no room for a family '%s'", family->name);
  families[count++] = family;
  return PLM_OK;
}

const plm_family *plm_family_at(int i) { return i < count ? families[i] : NULL; }

const plm_alphabet *plm_family_alphabet(const plm_family *family) { return plm_alphabet_find(family->alphabet); }
