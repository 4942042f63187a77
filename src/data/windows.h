/* windows.h - what an epoch shows of a set of sequences: how many are cropped, what is left of them, how much is hidden.
 * By lengths alone: one pass over the offsets, no residue is read.
 */
#ifndef PLM_DATA_WINDOWS_H
#define PLM_DATA_WINDOWS_H

#include "data/dataset.h"

typedef struct plm_windows {
  int64_t sequences, residues;
  int64_t cropped;        /* sequences of more tokens than max_length */
  int64_t longest_window; /* residues that a window of max_length tokens holds at most */
  double shown;           /* residues in the windows of one epoch: the mean over where they may lie */
  int64_t under_one;      /* sequences of whose windows the mask probability selects less than one residue */
  double selected;        /* residues selected in one epoch, on average, as at least one is in every sequence */
} plm_windows;

/* max_length: tokens; 0 = whole sequences. `probability`: of the masks, as if every residue could be selected; 0 = none. */
void plm_windows_count(const plm_view *view, const plm_alphabet *alphabet, int64_t max_length, double probability,
                       plm_windows *ret_windows);

#endif
