/* tiny.h - the smallest run that still has everything: two layers, a few milliseconds a step. {} is the scratch
 * directory. */
#ifndef TESTS_INTEGRATION_TINY_H
#define TESTS_INTEGRATION_TINY_H

#define TINY_MODEL "--model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 --num-attention-heads 4"
#define TINY_BATCH "--max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --learning-rate 2e-3"
#define TINY_DATA "--train {}/proteins.fasta"

/* Each step logged; add --dtype, --threads, steps and output ... */
#define TINY_TRAIN "train " TINY_MODEL " " TINY_BATCH " " TINY_DATA " --logging-steps 1"
/* ... or only steps and output. */
#define TINY_PLAIN TINY_TRAIN " --threads 1 --dtype fp32"

#endif
