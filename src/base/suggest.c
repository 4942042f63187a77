/* suggest.c - the name somebody probably meant. */
#include <string.h>

#include "base/text.h"

enum { LONGEST = 64 };

static int smaller(int a, int b) { return a < b ? a : b; }

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each 1. Three rows of the
 * table suffice. */
static int edit_distance(const char *a, int a_length, const char *b, int b_length) {
  int rows[3][LONGEST + 1];
  int *before = rows[0], *above = rows[1], *row = rows[2];
  for (int j = 0; j <= b_length; j++) above[j] = j;
  for (int i = 1; i <= a_length; i++) {
    row[0] = i;
    for (int j = 1; j <= b_length; j++) {
      int substituted = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = smaller(smaller(above[j], row[j - 1]) + 1, substituted);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = smaller(row[j], before[j - 2] + 1);
    }
    int *oldest = before;
    before = above;
    above = row;
    row = oldest;
  }
  return above[b_length];
}

const char *plm_nearest_name(const char *word, const char *const *names, size_t count) {
  size_t length = strlen(word);
  if (length == 0 || length > LONGEST) return NULL;
  int allowed = length < 3 ? 1 : (int)(length / 3);
  const char *nearest = NULL;
  for (size_t i = 0; i < count; i++) {
    size_t other = strlen(names[i]);
    if (other > LONGEST) continue;
    int distance = edit_distance(word, (int)length, names[i], (int)other);
    if (distance <= allowed && distance < (int)length) {
      nearest = names[i];
      allowed = distance - 1;
    }
  }
  return nearest;
}
