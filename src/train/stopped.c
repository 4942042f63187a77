/* stopped.c - see stopped.h. Contents: the note, its text, writing, telling, the watchdog's. */
#include "train/stopped.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "protlm/log.h"

static const char file_name[] = "stopped";

/* ---- the note ---- */

/* Off the front of "rank 1 (n2): words"; or who is named further on, and then all of them: "no room: rank 1 (n2): words". */
static const char *take_rank(const char *words, const plm_comm *comm, int *ret_rank) {
  const char *rest = words;
  *ret_rank = 0;
  for (const char *at = words; (at = strstr(at, "rank ")) != NULL; at++) {
    int rank = 0, end = 0;
    if (sscanf(at, "rank %d (%*[^)]): %n", &rank, &end) < 1 || end == 0 || rank < 0 || rank >= comm->size) continue;
    *ret_rank = rank;
    if (at == words) rest = words + end;
  }
  return rest;
}

void plm_stopped_fill(plm_stopped *note, const plm_comm *comm, plm_status status, const char *words, const char *stage,
                      int64_t steps_at_start, int64_t steps_done) {
  *note = (plm_stopped){
      .time = plm_clock_wall(),
      .code = plm_status_exit_code(status),
      .steps_at_start = steps_at_start,
      .steps_done = steps_done,
      /* with several ranks, what failed outside of us is most often one of them, or the way to it */
      .requeue = status == PLM_STOPPED || (status == PLM_E_FAILURE && comm->size > 1),
  };
  snprintf(note->words, sizeof note->words, "%.*s", PLM_STOPPED_WORDS - 1, take_rank(words, comm, &note->rank));
  snprintf(note->host, sizeof note->host, "%s", comm->places[note->rank].host);
  snprintf(note->stage, sizeof note->stage, "%s", stage);
}

/* ---- its text: in the caller's memory, so that the watchdog may ask for it ---- */

enum { ESCAPED = 6 * PLM_STOPPED_WORDS, TEXT = ESCAPED + 1024 };

/* As a JSON string; bytes that are no ASCII as they are, which are UTF-8 where they are anything. */
static const char *escape(const char *text, char *room, size_t bytes) {
  size_t n = 0;
  for (; *text != '\0' && n + 8 < bytes; text++) {
    const unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      n += (size_t)snprintf(room + n, bytes - n, "\\%c", c);
    else if (c == '\n')
      n += (size_t)snprintf(room + n, bytes - n, "\\n");
    else if (c < 0x20)
      n += (size_t)snprintf(room + n, bytes - n, "\\u%04x", c);
    else
      room[n++] = (char)c;
  }
  room[n] = '\0';
  return room;
}

static size_t compose(const plm_stopped *note, char text[TEXT]) {
  char words[ESCAPED], host[6 * PLM_HOST_NAME], stage[6 * PLM_STOPPED_STAGE], when[32] = "";
  const time_t seconds = (time_t)note->time;
  struct tm utc;
  if (gmtime_r(&seconds, &utc) != NULL) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  const int length =
      snprintf(text, TEXT,
               "{\n  \"time\": \"%s\",\n  \"rank\": %d,\n  \"host\": \"%s\",\n  \"stage\": \"%s\",\n  \"code\": %d,\n"
               "  \"words\": \"%s\",\n  \"steps_at_start\": %lld,\n  \"steps_done\": %lld,\n  \"requeue\": %s\n}\n",
               when, note->rank, escape(note->host, host, sizeof host), escape(note->stage, stage, sizeof stage),
               note->code, escape(note->words, words, sizeof words), (long long)note->steps_at_start,
               (long long)note->steps_done, note->requeue ? "true" : "false");
  return length > 0 && length < TEXT ? (size_t)length : 0;
}

plm_status plm_stopped_write(const char *directory, const plm_stopped *note) {
  char text[TEXT], *path;
  PLM_TRY(plm_path_join(directory, file_name, &path));
  plm_status status = plm_file_replace(path, text, compose(note, text));
  plm_free(path);
  return status;
}

/* ---- telling ---- */

/* Seconds since 1970 of "2026-11-28T03:21:42Z"; 0 where it is none. */
static double parse_time(const char *text) {
  struct tm utc = {0};
  if (sscanf(text, "%d-%d-%dT%d:%d:%dZ", &utc.tm_year, &utc.tm_mon, &utc.tm_mday, &utc.tm_hour, &utc.tm_min,
             &utc.tm_sec) != 6)
    return 0;
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  return (double)timegm(&utc);
}

static plm_status tell(const json_t *note, const char *path) {
  const char *words = "", *host = "", *stage = "", *when = "";
  int64_t rank = 0, before = 0, done = 0;
  char ago[PLM_NUMBER_TEXT], steps[PLM_COUNTED_TEXT];
  PLM_TRY(plm_json_get_string(note, path, "words", true, &words));
  PLM_TRY(plm_json_get_string(note, path, "host", true, &host));
  PLM_TRY(plm_json_get_string(note, path, "stage", true, &stage));
  PLM_TRY(plm_json_get_string(note, path, "time", true, &when));
  PLM_TRY(plm_json_get_int(note, path, "rank", true, 0, INT32_MAX, &rank));
  PLM_TRY(plm_json_get_int(note, path, "steps_at_start", true, 0, INT64_MAX, &before));
  PLM_TRY(plm_json_get_int(note, path, "steps_done", true, 0, INT64_MAX, &done));
  const double seconds = plm_clock_wall() - parse_time(when);
  plm_info("the last start stopped: %s, on rank %lld (%s), in %s, %s ago, after %s", words, (long long)rank, host,
           stage, plm_duration_text(seconds > 0 ? seconds : 0, ago),
           plm_counted(done - before, "step", "steps", steps));
  return PLM_OK;
}

plm_status plm_stopped_tell(const char *directory, bool removes) {
  char *path;
  json_t *note = NULL;
  PLM_TRY(plm_path_join(directory, file_name, &path));
  plm_status status = PLM_OK;
  if (plm_file_exists(path)) {
    if (plm_json_load(path, &note) != PLM_OK || tell(note, path) != PLM_OK) {
      plm_warn("%s", plm_error_message());
      plm_error_clear();
    }
    if (removes) status = plm_file_remove(path);
  }
  json_decref(note);
  plm_free(path);
  return status;
}

/* ---- for the watchdog ---- */

/* Only plain system calls and this thread's own memory. The first cause stands: the file of an earlier start is gone, and
 * a rank that ended all is soon seen to have died. */
static void before_abort(void *user, const plm_error_record *why, int rank, const char *stage, bool is_writer) {
  plm_stopped_watch *watch = user;
  char text[TEXT];
  if (!is_writer || access(watch->path, F_OK) == 0) return;
  plm_stopped note = {
      .time = plm_clock_wall(),
      .rank = rank,
      .code = plm_status_exit_code(why->code),
      .steps_at_start = watch->steps_at_start,
      .steps_done = watch->steps_done,
      .requeue = true, /* a rank was lost, or hung */
  };
  snprintf(note.words, sizeof note.words, "%.*s", PLM_STOPPED_WORDS - 1, why->message);
  snprintf(note.host, sizeof note.host, "%s", watch->comm->places[rank].host);
  snprintf(note.stage, sizeof note.stage, "%s", stage);
  (void)plm_file_replace_plainly(watch->temporary, watch->path, text, compose(&note, text));
}

void plm_stopped_arm(plm_stopped_watch *watch, plm_comm *comm, const char *directory, int64_t step) {
  if (comm->size == 1 || directory == NULL) return;
  snprintf(watch->path, sizeof watch->path, "%s/%s", directory, file_name);
  snprintf(watch->temporary, sizeof watch->temporary, "%s/tmp-%s-%ld-0", directory, file_name, (long)getpid());
  watch->comm = comm;
  watch->steps_at_start = watch->steps_done = step;
  comm->user = watch;
  comm->before_abort = before_abort;
}

void plm_stopped_count(plm_stopped_watch *watch, int64_t step) { watch->steps_done = step; }

void plm_stopped_disarm(plm_comm *comm) {
  comm->before_abort = NULL;
  comm->user = NULL;
}
