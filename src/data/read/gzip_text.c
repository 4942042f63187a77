/* gzip_text.c - see gzip_text.h.
 *
 * What gzip -dc gives is what is read: members one after the other, whoever wrote them, zeros behind them. A file that
 * is bgzf from end to end is left to htslib, which decompresses blocks in several threads; that is told beforehand, from
 * the sizes in its blocks' headers, since htslib gives up where another member follows.
 *
 * Contents: words for what is not whole; bytes in; members; bgzf; opening and reading.
 */
#include "data/read/gzip_text.h"

#include <errno.h>
#include <fcntl.h>
#include <htslib/bgzf.h>
#include <htslib/hts_log.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/read/foreign_file.h"
#include "data/read/sequence_file.h"
#include "data/read/stream_pump.h"

enum { BLOCK_BYTES = 1 << 20, FIRST_BYTES = 1 << 16, HEADER = 18, GZIP_WITH_HEADER = 15 + 16 };

typedef enum ending { GOING_ON, WHOLE, CUT, DAMAGED, NO_MEMORY, UNREADABLE } ending;

struct plm_gzip_text {
  const char *path, *words; /* words: of the file, for messages */
  plm_stream_pump *pump;    /* NULL: a file */
  int fd;
  char *in, *out;   /* as read; as decompressed, NULL where nothing is compressed */
  int64_t consumed; /* bytes read up to the end of `in` */
  size_t waiting;   /* bytes in `in` that were read when it was opened, where nothing is compressed */
  char last;        /* of the text so far */
  bool is_begun;    /* there was some */
  bool compressed, in_member, of_blocks, end_mark; /* the last two of the latest member: bgzf, and its empty last one */
  ending ending;
  int error; /* errno of UNREADABLE */
  plm_gzip_oddities oddities;
  z_stream inflate;
  gz_header header;
  unsigned char extra[6];
  BGZF *blocks; /* htslib reads the file */
};

/* ---- words for what is not whole ---- */

static plm_status refuse(const plm_gzip_text *t, int64_t line) {
  const long long at = (long long)line;
  if (t->ending == UNREADABLE) return plm_fail(PLM_E_INPUT, "%s: reading failed: %s", t->words, strerror(t->error));
  if (t->ending == NO_MEMORY) return plm_fail(PLM_E_RESOURCE, "%s: out of memory for decompressing it", t->words);
  plm_fail(PLM_E_INPUT, "%s: the compressed data is %s (in line %lld of the text)", t->words,
           t->ending == CUT ? "cut short: its end is missing" : "damaged", at);
  return plm_hint(PLM_E_INPUT, "copy or download it again; gzip -t says whether it is whole");
}

static plm_status no_end_mark(plm_gzip_text *t, int64_t line) {
  if (t->last == '\n') {
    t->oddities.lacks_end_mark = true;
    return PLM_OK;
  }
  plm_fail(PLM_E_INPUT, "%s: bgzip's end mark is missing and the text ends inside line %lld: the file was cut short",
           t->words, (long long)line);
  return plm_foreign_file_hint(t->path, true, NULL, "copy or download it again; if this is all there is, ");
}

/* `cat a.fasta.gz b.fasta`: gzip would leave the second out. */
static plm_status text_behind(const plm_gzip_text *t, int64_t begin) {
  char name[PLM_SHELL_WORD], mended[PLM_MENDED_NAME];
  plm_fail(PLM_E_INPUT, "%s: after its compressed data, at byte %lld, comes text that is not compressed", t->words,
           (long long)begin + 1);
  if (t->pump != NULL) return plm_hint(PLM_E_INPUT, "compress all parts, or none");
  plm_shell_word(t->path, name);
  plm_mended_name(".fasta", mended);
  return plm_hint(PLM_E_INPUT, "take it apart: `head -c %lld %s | gzip -dc > %s; tail -c +%lld %s >> %s`",
                  (long long)begin, name, mended, (long long)begin + 1, name, mended);
}

/* ---- bytes in ---- */

/* Reads up to `most` bytes, at least `least` where there are as many. */
static size_t read_bytes(plm_gzip_text *t, char *to, size_t least, size_t most) {
  size_t got = 0;
  while (got < least) {
    ssize_t bytes = read(t->fd, to + got, most - got);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) {
      t->ending = UNREADABLE;
      t->error = errno;
    }
    if (bytes <= 0) break;
    got += (size_t)bytes;
  }
  t->consumed += (int64_t)got;
  return got;
}

/* At least `least` bytes of compressed data before us, if there are as many. */
static size_t look_ahead(plm_gzip_text *t, size_t least) {
  z_stream *z = &t->inflate;
  if (z->avail_in >= least || t->ending != GOING_ON) return z->avail_in;
  memmove(t->in, z->next_in, z->avail_in);
  z->next_in = (unsigned char *)t->in;
  z->avail_in += (unsigned)read_bytes(t, t->in + z->avail_in, least - z->avail_in, BLOCK_BYTES - z->avail_in);
  return z->avail_in;
}

/* ---- members ---- */

/* What is no member, behind the last one: gzip passes over zeros in silence (tapes), and over the rest with a warning. */
static plm_status pass_over_rest(plm_gzip_text *t) {
  z_stream *z = &t->inflate;
  int64_t begin = t->consumed - z->avail_in, bytes = 0;
  bool zeros = true;
  if (*z->next_in == '>') return text_behind(t, begin);
  for (; look_ahead(t, 1) > 0; z->avail_in = 0) {
    for (unsigned i = 0; i < z->avail_in; i++) zeros = zeros && z->next_in[i] == 0;
    bytes += z->avail_in;
  }
  if (!zeros) t->oddities.bytes_behind = bytes;
  if (t->ending == GOING_ON) t->ending = WHOLE;
  return PLM_OK;
}

static plm_status begin_member(plm_gzip_text *t) {
  z_stream *z = &t->inflate;
  size_t bytes = look_ahead(t, 2);
  if (bytes == 0 && t->ending == GOING_ON) t->ending = WHOLE;
  if (bytes == 0) return PLM_OK;
  if (z->next_in[0] != 0x1f || (bytes > 1 && z->next_in[1] != 0x8b)) return pass_over_rest(t);
  inflateReset(z);
  t->header = (gz_header){.extra = t->extra, .extra_max = sizeof t->extra};
  inflateGetHeader(z, &t->header);
  t->in_member = true;
  return PLM_OK;
}

static void end_member(plm_gzip_text *t) {
  t->in_member = false;
  t->of_blocks = t->header.extra != NULL && t->header.extra_len >= 6 && memcmp(t->extra, "BC\2", 4) == 0;
  t->end_mark = t->of_blocks && t->inflate.total_out == 0;
}

static plm_status inflate_block(plm_gzip_text *t) {
  z_stream *z = &t->inflate;
  z->next_out = (unsigned char *)t->out;
  z->avail_out = BLOCK_BYTES;
  while (z->avail_out > 0 && t->ending == GOING_ON) {
    if (!t->in_member) {
      PLM_TRY(begin_member(t));
    } else if (look_ahead(t, 1) == 0) {
      if (t->ending == GOING_ON) t->ending = CUT;
    } else {
      int code = inflate(z, Z_NO_FLUSH);
      if (code == Z_STREAM_END)
        end_member(t);
      else if (code != Z_OK && code != Z_BUF_ERROR)
        t->ending = code == Z_MEM_ERROR ? NO_MEMORY : DAMAGED;
    }
  }
  return PLM_OK;
}

/* ---- bgzf ---- */

/* Bytes of the bgzf block whose header this is; 0: it is none. */
static int64_t block_bytes(const unsigned char header[HEADER]) {
  static const unsigned char magic[] = {0x1f, 0x8b, 8, 4}, extra[] = {6, 0, 'B', 'C', 2, 0};
  if (memcmp(header, magic, sizeof magic) != 0 || memcmp(header + 10, extra, sizeof extra) != 0) return 0;
  return 1 + header[16] + 256 * (int64_t)header[17];
}

/* Whether the file is a row of whole bgzf blocks; *ret_end_mark: the last one is the empty one that bgzip puts there. */
static bool is_all_blocks(int fd, bool *ret_end_mark) {
  enum { END_MARK = 28 };
  unsigned char header[HEADER];
  struct stat facts;
  int64_t at = 0, bytes = 0;
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return false;
  for (; at < facts.st_size; at += bytes) {
    if (pread(fd, header, HEADER, at) != HEADER) return false;
    bytes = block_bytes(header);
    if (bytes < HEADER) return false;
  }
  *ret_end_mark = bytes == END_MARK;
  return at == facts.st_size;
}

static plm_status open_blocks(plm_gzip_text *t, int threads) {
  hts_set_log_level(HTS_LOG_OFF); /* its words go to stderr; ours go to the user */
  t->blocks = bgzf_dopen(t->fd, "r");
  if (t->blocks == NULL) return plm_fail(PLM_E_INPUT, "%s: cannot be opened: %s", t->words, strerror(errno));
  t->fd = -1;
  if (threads > 1) bgzf_mt(t->blocks, threads, 256);
  return PLM_OK;
}

static size_t read_blocks(plm_gzip_text *t) {
  ssize_t bytes = bgzf_read(t->blocks, t->out, BLOCK_BYTES);
  if (bytes <= 0) t->ending = bytes == 0 ? WHOLE : DAMAGED;
  return bytes > 0 ? (size_t)bytes : 0;
}

/* ---- opening and reading ---- */

static plm_status open_compressed(plm_gzip_text *t, int threads) {
  t->compressed = true;
  PLM_TRY(PLM_NEW(&t->out, BLOCK_BYTES));
  if (t->pump == NULL && is_all_blocks(t->fd, &t->end_mark) && lseek(t->fd, 0, SEEK_SET) == 0) {
    t->of_blocks = true;
    return open_blocks(t, threads);
  }
  if (inflateInit2(&t->inflate, GZIP_WITH_HEADER) != Z_OK)
    return plm_fail(PLM_E_RESOURCE, "%s: out of memory for decompressing it", t->words);
  t->inflate.next_in = (unsigned char *)t->in;
  t->inflate.avail_in = (unsigned)t->consumed;
  return PLM_OK;
}

static plm_status open_it(plm_gzip_text *t, int threads, bool (*interrupted)(void)) {
  if (!plm_sequence_file_is_regular(t->path)) PLM_TRY(plm_stream_pump_open(t->path, interrupted, &t->pump, &t->fd));
  if (t->pump == NULL) t->fd = open(t->path, O_RDONLY | O_CLOEXEC);
  if (t->fd < 0) return plm_fail(PLM_E_INPUT, "%s: cannot be opened: %s", t->words, strerror(errno));
  PLM_TRY(PLM_NEW(&t->in, BLOCK_BYTES));
  size_t bytes = read_bytes(t, t->in, FIRST_BYTES, BLOCK_BYTES);
  if (bytes >= 2 && memcmp(t->in, "\x1f\x8b", 2) == 0) return open_compressed(t, threads);
  t->waiting = bytes;
  return PLM_OK;
}

plm_status plm_gzip_text_open(const char *path, int threads, bool (*interrupted)(void), plm_gzip_text **ret_text) {
  plm_gzip_text *t;
  PLM_TRY(PLM_NEW(&t, 1));
  *t = (plm_gzip_text){.path = path, .words = plm_sequence_file_words(path), .fd = -1};
  plm_status status = open_it(t, threads, interrupted);
  if (status != PLM_OK) return plm_gzip_text_close(t, status);
  *ret_text = t;
  return PLM_OK;
}

static size_t read_plain(plm_gzip_text *t) {
  size_t bytes = t->waiting;
  t->waiting = 0;
  return bytes > 0 ? bytes : read_bytes(t, t->in, 1, BLOCK_BYTES);
}

/* *ret_bytes is 0 at the end, of whatever kind that is. */
static plm_status next_block(plm_gzip_text *t, size_t *ret_bytes) {
  *ret_bytes = 0;
  if (t->ending != GOING_ON) return PLM_OK;
  if (t->blocks != NULL) {
    *ret_bytes = read_blocks(t);
  } else if (t->compressed) {
    PLM_TRY(inflate_block(t));
    *ret_bytes = BLOCK_BYTES - t->inflate.avail_out;
  } else {
    *ret_bytes = read_plain(t);
  }
  return PLM_OK;
}

static bool is_whole(const plm_gzip_text *t) { return t->ending == GOING_ON || t->ending == WHOLE; }

plm_status plm_gzip_text_read(plm_gzip_text *t, int64_t line, const char **ret_block, size_t *ret_bytes) {
  PLM_TRY(next_block(t, ret_bytes));
  *ret_block = t->compressed ? t->out : t->in;
  if (*ret_bytes > 0) {
    t->last = (*ret_block)[*ret_bytes - 1];
    t->is_begun = true;
    return PLM_OK;
  }
  if (!is_whole(t)) return refuse(t, line);
  if (t->compressed && !t->is_begun)
    return plm_fail(PLM_E_INPUT, "%s: there is nothing in it: the file that was compressed was empty", t->words);
  return t->of_blocks && !t->end_mark ? no_end_mark(t, line) : PLM_OK;
}

plm_status plm_gzip_text_blame(plm_gzip_text *t, int64_t line, plm_status status) {
  plm_error_record refused;
  size_t bytes = 1;
  if (status != PLM_E_INPUT || !t->compressed) return status;
  plm_error_take(status, &refused);
  while (bytes > 0) PLM_TRY(next_block(t, &bytes));
  return is_whole(t) ? plm_error_give(&refused) : refuse(t, line);
}

bool plm_gzip_text_is_compressed(const plm_gzip_text *t) { return t->compressed; }
plm_gzip_oddities plm_gzip_text_oddities(const plm_gzip_text *t) { return t->oddities; }

plm_status plm_gzip_text_close(plm_gzip_text *t, plm_status status) {
  plm_error_record text;
  if (status != PLM_OK) plm_error_take(status, &text);
  if (t->blocks != NULL) bgzf_close(t->blocks);
  if (t->fd >= 0) close(t->fd);
  if (t->compressed && t->blocks == NULL) inflateEnd(&t->inflate);
  plm_stream_pump *pump = t->pump;
  plm_free(t->in);
  plm_free(t->out);
  plm_free(t);
  PLM_TRY(plm_stream_pump_close(pump));
  return status == PLM_OK ? PLM_OK : plm_error_give(&text);
}
