/* hdf5_taker.c - see hdf5_taker.h. In a pipe each piece is a header and its bytes. Each end of it is one thread's, so it
 * is written and read without a lock a piece.
 */
#define _GNU_SOURCE
#include "data/read/hdf5_taker.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "data/read/characters.h"

typedef enum piece_kind {
  PIECE_TITLE = 1,
  PIECE_GROUP, /* a title, of a group */
  PIECE_NAME,
  PIECE_TEXT,
  PIECE_END,
  PIECE_UNUSED_IDS,
  PIECE_METADATA,
  PIECE_SOURCE,
  PIECE_FAILURE
} piece_kind;

typedef struct piece_header {
  uint64_t kind, bytes;
} piece_header;

/* "plmh5", the number of this way to speak, and what differs between builds. */
uint64_t plm_hdf5_greeting(void) { return UINT64_C(0x706c6d6835030000) + sizeof(plm_error_record); }

static void send_piece(FILE *pipe, piece_kind kind, const void *data, size_t bytes) {
  const piece_header header = {.kind = kind, .bytes = bytes};
  (fwrite_unlocked)(&header, sizeof header, 1, pipe);
  (fwrite_unlocked)(data, 1, bytes, pipe);
}

void plm_hdf5_send_failure(FILE *pipe, plm_status status) {
  plm_error_record failure = {0};
  plm_error_take(status, &failure);
  send_piece(pipe, PIECE_FAILURE, &failure, sizeof failure);
}

/* ---- taking ---- */

void plm_hdf5_take_title(plm_hdf5_taker *taker, const char *dataset, bool is_group) {
  if (taker->pipe != NULL) {
    send_piece(taker->pipe, is_group ? PIECE_GROUP : PIECE_TITLE, dataset, strlen(dataset));
    return;
  }
  plm_printable(dataset, strlen(dataset), taker->title, sizeof taker->title);
  taker->is_group = is_group;
  taker->row = 0;
}

static void set_place(plm_hdf5_taker *taker) {
  taker->sink->place.line = (int64_t)taker->row;
  taker->sink->place.column = 0;
  taker->sink->place.is_row = 1;
}

void plm_hdf5_take_name(plm_hdf5_taker *taker, const char *name, size_t bytes) {
  if (taker->pipe != NULL) {
    send_piece(taker->pipe, PIECE_NAME, name, bytes);
    return;
  }
  set_place(taker);
  plm_printable(name, bytes, taker->name, sizeof taker->name);
  if (bytes == 0)
    plm_note_add(&taker->sink->notes, PLM_NOTE_UNNAMED, 1, taker->sink->place, 0);
  else
    plm_sequence_sink_name(taker->sink, name, bytes);
}

/* Puts file and row in front of what the sink said. */
static plm_status row_failed(const plm_hdf5_taker *taker, plm_status status) {
  if (taker->is_group) return plm_error_prefix(status, "%s: dataset '%s': ", taker->path, taker->name);
  return plm_error_prefix(status, "%s: row %llu of '%s' (from 0): ", taker->path, taker->row, taker->title);
}

plm_status plm_hdf5_take_text(plm_hdf5_taker *taker, const char *text, size_t bytes) {
  if (taker->pipe != NULL) {
    send_piece(taker->pipe, PIECE_TEXT, text, bytes);
    return PLM_OK;
  }
  set_place(taker);
  const plm_status status = plm_sequence_sink_text(taker->sink, text, bytes);
  return status == PLM_OK ? PLM_OK : row_failed(taker, status);
}

plm_status plm_hdf5_take_end(plm_hdf5_taker *taker) {
  if (taker->pipe != NULL) {
    send_piece(taker->pipe, PIECE_END, "", 0);
    return PLM_OK;
  }
  set_place(taker);
  const plm_status status = plm_sequence_sink_end(taker->sink);
  if (status != PLM_OK) return row_failed(taker, status);
  taker->row++;
  return PLM_OK;
}

void plm_hdf5_take_unused_ids(plm_hdf5_taker *taker) {
  if (taker->pipe != NULL) {
    send_piece(taker->pipe, PIECE_UNUSED_IDS, "", 0);
    return;
  }
  set_place(taker);
  plm_note_add(&taker->sink->notes, PLM_NOTE_IDS_NOT_USED, 1, taker->sink->place, 0);
}

void plm_hdf5_take_metadata(plm_hdf5_taker *taker) {
  if (taker->pipe != NULL) {
    send_piece(taker->pipe, PIECE_METADATA, "", 0);
    return;
  }
  set_place(taker);
  plm_note_add(&taker->sink->notes, PLM_NOTE_METADATA, 1, taker->sink->place, 0);
}

void plm_hdf5_take_source(plm_hdf5_taker *taker, const char *path) {
  int64_t bytes = 0;
  if (taker->pipe != NULL && plm_file_size(path, &bytes) == PLM_OK) taker->source_bytes += bytes;
  if (taker->pipe != NULL)
    send_piece(taker->pipe, PIECE_SOURCE, path, strlen(path));
  else if (taker->sources != NULL)
    plm_text_append_bytes(taker->sources, path, strlen(path) + 1);
}

/* ---- out of a pipe ---- */

/* Fewer bytes: the pipe's end. A signal is not one. */
static size_t take(FILE *pipe, void *data, size_t bytes) {
  size_t taken = 0;
  while (taken < bytes && !feof_unlocked(pipe)) {
    taken += (fread_unlocked)((char *)data + taken, 1, bytes - taken, pipe);
    if (ferror_unlocked(pipe) && errno != EINTR) break;
    if (ferror_unlocked(pipe)) clearerr(pipe);
  }
  return taken;
}

static plm_status give(plm_hdf5_taker *taker, piece_kind kind, char *data, size_t bytes) {
  data[bytes] = '\0';
  switch (kind) {
    case PIECE_TITLE:
    case PIECE_GROUP:
      plm_hdf5_take_title(taker, data, kind == PIECE_GROUP);
      return PLM_OK;
    case PIECE_NAME:
      plm_hdf5_take_name(taker, data, bytes);
      return PLM_OK;
    case PIECE_TEXT:
      return plm_hdf5_take_text(taker, data, bytes);
    case PIECE_END:
      return plm_hdf5_take_end(taker);
    case PIECE_UNUSED_IDS:
      plm_hdf5_take_unused_ids(taker);
      return PLM_OK;
    case PIECE_METADATA:
      plm_hdf5_take_metadata(taker);
      return PLM_OK;
    case PIECE_SOURCE:
      plm_hdf5_take_source(taker, data);
      return PLM_OK;
    case PIECE_FAILURE:
      break;
  }
  return plm_fail(PLM_E_BUG, "%s: the process that reads it says what nobody understands", taker->path);
}

plm_status plm_hdf5_forward(FILE *pipe, plm_hdf5_taker *taker, plm_error_record *ret_failure) {
  char data[(1 << 14) + 1], tail[4];
  piece_header piece;
  ret_failure->code = PLM_OK;
  while (take(pipe, &piece, sizeof piece) == sizeof piece) {
    if (piece.kind == PIECE_FAILURE) {
      if (take(pipe, ret_failure, sizeof *ret_failure) != sizeof *ret_failure) ret_failure->code = PLM_OK;
      return PLM_OK;
    }
    size_t begun = 0; /* bytes of a character that goes on in what is taken next */
    do {
      const size_t room = sizeof data - 1 - begun, bytes = piece.bytes < room ? (size_t)piece.bytes : room;
      if (take(pipe, data + begun, bytes) != bytes) return PLM_OK; /* cut off: the end of the process says why */
      const size_t all = begun + bytes;
      piece.bytes -= bytes;
      begun = piece.bytes > 0 ? plm_character_begun(data, all) : 0;
      memcpy(tail, data + all - begun, begun);
      PLM_TRY(give(taker, (piece_kind)piece.kind, data, all - begun));
      memcpy(data, tail, begun);
    } while (piece.bytes > 0);
  }
  if (!ferror(pipe)) return PLM_OK;
  return plm_fail(PLM_E_FAILURE, "%s: reading from the process that reads it: %s", taker->path, strerror(errno));
}
