/* windows.c - see windows.h */
#include "data/windows.h"

#include <math.h>

/* Residues in the window of `n` tokens of a protein of `length` residues that has more tokens than that, on average.
 * Windows lie anywhere with the same probability; only the first holds the opening token and only the last the closing
 * one, unless the frame has both in every window. */
static double mean_window(const plm_alphabet *alphabet, int64_t length, int64_t n) {
  const int64_t specials = plm_alphabet_specials(alphabet);
  if (alphabet->frame.every_window) return (double)(n - specials);
  return (double)n - (double)specials / (double)(length + specials - n + 1);
}

void plm_windows_count(const plm_view *view, const plm_alphabet *alphabet, int64_t max_length, double probability,
                       plm_windows *ret_windows) {
  const int64_t specials = plm_alphabet_specials(alphabet);
  plm_windows w = {
      .sequences = view->count,
      .longest_window = max_length - (alphabet->frame.every_window ? specials : 0),
  };
  for (int64_t i = 0; i < view->count; i++) {
    const int64_t length = plm_dataset_length(view->dataset, plm_view_id(view, i));
    const bool cropped = max_length > 0 && length + specials > max_length;
    const double shown = cropped ? mean_window(alphabet, length, max_length) : (double)length;
    w.cropped += cropped;
    w.residues += length;
    w.shown += shown;
    if (probability <= 0) continue;
    w.under_one += probability * shown < 1;
    w.selected += probability * shown;
    if (probability * shown < 30) w.selected += pow(1 - probability, shown); /* where chance selects none */
  }
  *ret_windows = w;
}
