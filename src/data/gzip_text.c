/* gzip_text.c - see gzip_text.h. htslib's bgzf reads plain, gzip and bgzf files alike. */
#include "data/gzip_text.h"

#include <errno.h>
#include <htslib/bgzf.h>
#include <htslib/hts_log.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "data/sequence_file.h"
#include "data/stream_pump.h"

enum { BLOCK_BYTES = 1 << 20 };

struct plm_gzip_text {
  const char *words; /* of the file, for messages */
  BGZF *file;
  plm_stream_pump *pump; /* NULL: a file */
  char *block;
};

static plm_status unreadable(const plm_gzip_text *t, int64_t line) {
  if (bgzf_compression(t->file) == 0) return plm_fail(PLM_E_INPUT, "%s: reading failed: %s", t->words, strerror(errno));
  plm_fail(PLM_E_INPUT, "%s: the compressed data is damaged or cut short (in line %lld of the text)", t->words,
           (long long)line);
  return plm_hint(
      PLM_E_INPUT,
      "copy or download it again; if gzip -t finds nothing wrong, unpack it with gunzip -k and give what comes out");
}

/* bgzf files end in an empty block, so that one cut between two blocks is noticed. */
static plm_status check_end(const plm_gzip_text *t) {
  if (bgzf_compression(t->file) != 2 || bgzf_check_EOF(t->file) != 0) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: the file was cut short: bgzip's end mark is missing", t->words),
                  "copy or download it again");
}

static plm_status open_file(plm_gzip_text *t, const char *path, bool (*interrupted)(void)) {
  int fd;
  if (plm_sequence_file_is_regular(path)) {
    t->file = bgzf_open(path, "r");
  } else {
    PLM_TRY(plm_stream_pump_open(path, interrupted, &t->pump, &fd));
    t->file = bgzf_dopen(fd, "r");
    if (t->file == NULL) close(fd);
  }
  return t->file != NULL ? PLM_OK : plm_fail(PLM_E_INPUT, "%s: cannot be opened: %s", t->words, strerror(errno));
}

plm_status plm_gzip_text_open(const char *path, int threads, bool (*interrupted)(void), plm_gzip_text **ret_text) {
  plm_status status;
  plm_gzip_text *t;
  hts_set_log_level(HTS_LOG_OFF); /* its words go to stderr; ours go to the user */
  PLM_TRY(PLM_NEW(&t, 1));
  *t = (plm_gzip_text){.words = plm_sequence_file_words(path)};
  PLM_TRY_GOTO(open_file(t, path, interrupted), failed);
  PLM_TRY_GOTO(check_end(t), failed);
  PLM_TRY_GOTO(PLM_NEW(&t->block, BLOCK_BYTES), failed);
  if (threads > 1 && bgzf_compression(t->file) == 2) bgzf_mt(t->file, threads, 256);
  *ret_text = t;
  return PLM_OK;
failed:
  return plm_gzip_text_close(t, status);
}

plm_status plm_gzip_text_read(plm_gzip_text *t, int64_t line, const char **ret_block, size_t *ret_bytes) {
  ssize_t bytes = bgzf_read(t->file, t->block, BLOCK_BYTES);
  if (bytes < 0) return unreadable(t, line);
  *ret_block = t->block;
  *ret_bytes = (size_t)bytes;
  return PLM_OK;
}

plm_status plm_gzip_text_blame(plm_gzip_text *t, int64_t line, plm_status status) {
  plm_error_record refused;
  const char *block;
  size_t bytes = 1;
  if (status != PLM_E_INPUT || bgzf_compression(t->file) == 0) return status;
  plm_error_take(status, &refused);
  while (bytes > 0) PLM_TRY(plm_gzip_text_read(t, line, &block, &bytes));
  return plm_error_give(&refused);
}

bool plm_gzip_text_is_compressed(const plm_gzip_text *t) { return bgzf_compression(t->file) != 0; }

plm_status plm_gzip_text_close(plm_gzip_text *t, plm_status status) {
  plm_error_record text;
  if (status != PLM_OK) plm_error_take(status, &text);
  if (t->file != NULL) bgzf_close(t->file);
  plm_stream_pump *pump = t->pump;
  plm_free(t->block);
  plm_free(t);
  PLM_TRY(plm_stream_pump_close(pump));
  return status == PLM_OK ? PLM_OK : plm_error_give(&text);
}
