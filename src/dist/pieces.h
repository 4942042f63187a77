/* pieces.h - how a bucket is shared among ranks: see the sum rule in comm.h. */
#ifndef PLM_DIST_PIECES_H
#define PLM_DIST_PIECES_H

#include <stdint.h>

enum { PLM_PIECE_ALIGN = 64 /* elements: 256 bytes of fp32, a cache line of nobody's neighbour */ };

/* Elements of one rank's piece of a bucket that holds `count`: count / (64 size), rounded up, times 64. */
static inline int64_t plm_piece_length(int64_t count, int size) {
  const int64_t unit = (int64_t)PLM_PIECE_ALIGN * size;
  return (count + unit - 1) / unit * PLM_PIECE_ALIGN;
}

#endif
