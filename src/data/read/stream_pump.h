/* stream_pump.h - a pipe, a FIFO or a terminal, whose reader can be told to stop while there is nothing to read.
 *
 * htslib waits until it has all the bytes it asked for, through every signal. So it is given a pipe of ours, which a
 * thread fills from the stream, and which ends when the stream does, or when reading is to stop.
 */
#ifndef PLM_DATA_STREAM_PUMP_H
#define PLM_DATA_STREAM_PUMP_H

#include <stdbool.h>

#include "protlm/status.h"

typedef struct plm_stream_pump plm_stream_pump;

/* `path`, or "-" for standard input. *ret_fd is where its bytes come out, the caller's to close. A FIFO that nobody
 * writes to is waited for. `interrupted` is asked ten times a second, by the thread; NULL: never. */
PLM_CHECKED plm_status plm_stream_pump_open(const char *path, bool (*interrupted)(void), plm_stream_pump **ret_pump,
                                            int *ret_fd);

/* After the reader has closed its end. PLM_E_INPUT: the stream could not be read to its end; PLM_STOPPED: interrupted.
 * Accepts NULL. */
PLM_CHECKED plm_status plm_stream_pump_close(plm_stream_pump *pump);

#endif
