/* sort.c - American flag sort (McIlroy, Bostic, McIlroy 1993, "Engineering radix sort"): radix sort from the highest
 * byte, in place. */
#include "data/sort.h"

enum { SMALL = 48 };

static void insertion_sort(uint64_t *values, size_t count) {
  for (size_t i = 1; i < count; i++) {
    uint64_t value = values[i];
    size_t j = i;
    for (; j > 0 && values[j - 1] > value; j--) values[j] = values[j - 1];
    values[j] = value;
  }
}

/* Values that agree in the bits above shift + 8. The depth of the recursion is at most 8. */
static void sort_byte(uint64_t *values, size_t count, unsigned shift) {
  if (count <= SMALL) {
    insertion_sort(values, count);
    return;
  }
  size_t next[256] = {0}, end[256];
  for (size_t i = 0; i < count; i++) next[values[i] >> shift & 255]++;
  for (size_t digit = 0, start = 0; digit < 256; digit++) {
    size_t size = next[digit];
    next[digit] = start;
    end[digit] = start += size;
  }
  for (size_t digit = 0; digit < 256; digit++) {
    while (next[digit] < end[digit]) {
      uint64_t value = values[next[digit]];
      size_t home;
      while ((home = value >> shift & 255) != digit) {
        uint64_t displaced = values[next[home]];
        values[next[home]++] = value;
        value = displaced;
      }
      values[next[digit]++] = value;
    }
  }
  if (shift == 0) return;
  for (size_t digit = 0, start = 0; digit < 256; start = end[digit++])
    sort_byte(values + start, end[digit] - start, shift - 8);
}

void plm_sort_u64(uint64_t *values, size_t count) { sort_byte(values, count, 56); }
