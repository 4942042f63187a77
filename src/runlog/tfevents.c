/* tfevents.c - TensorBoard event files by hand.
 *
 * A file is a row of records; TensorBoard skips a torn last one, so a killed run needs no repair:
 *
 *   u64 n | u32 masked crc32c(those 8 bytes) | n bytes | u32 masked crc32c(those n bytes)         little-endian
 *
 * The n bytes are an Event in protobuf's wire format. What we use of tensorflow/core/util/event.proto and
 * framework/summary.proto:
 *
 *   Event        1 double wall_time   2 int64 step   3 string file_version   5 Summary   7 SessionLog
 *   Summary      1 Value, repeated    Value: 1 string tag, 2 float simple_value
 *   SessionLog   1 enum status, START = 1
 *
 * Contents: 1 bytes and protobuf, 2 records, 3 the file.
 */
#define _GNU_SOURCE
#include "runlog/tfevents.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/system.h"

struct plm_tfevents {
  plm_appender *appender;
};

enum {
  MAX_TAG = 200,
  MAX_EVENT = MAX_TAG + 64, /* the largest event we make: a tag and some 40 bytes around it */
  LENGTH_BYTES = 8,
  CRC_BYTES = 4,
};

/* ---- 1 bytes and protobuf ---- */

typedef struct message {
  unsigned char bytes[MAX_EVENT];
  size_t length;
} message;

static void put_fixed(message *m, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) m->bytes[m->length++] = (unsigned char)(value >> (8 * i));
}

static void put_varint(message *m, uint64_t value) {
  for (; value >= 0x80; value >>= 7) m->bytes[m->length++] = (unsigned char)(value | 0x80);
  m->bytes[m->length++] = (unsigned char)value;
}

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
static void put_key(message *m, unsigned field, unsigned wire) { put_varint(m, field << 3 | wire); }

static void put_double(message *m, unsigned field, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_key(m, field, WIRE_64);
  put_fixed(m, bits, sizeof bits);
}

static void put_float(message *m, unsigned field, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_key(m, field, WIRE_32);
  put_fixed(m, bits, sizeof bits);
}

static void put_bytes(message *m, unsigned field, const void *bytes, size_t count) {
  put_key(m, field, WIRE_BYTES);
  put_varint(m, count);
  memcpy(m->bytes + m->length, bytes, count);
  m->length += count;
}

static void begin_event(message *event, int64_t step) {
  event->length = 0;
  put_double(event, 1, plm_clock_wall());
  if (step != 0) { /* proto3 leaves zeros out, and so do we: the files equal TensorFlow's byte for byte */
    put_key(event, 2, WIRE_VARINT);
    put_varint(event, (uint64_t)step);
  }
}

/* ---- 2 records ---- */

/* A CRC of bytes that contain CRCs is weak, so TensorFlow rotates and shifts what it stores. */
static uint32_t masked_crc(const void *data, size_t bytes) {
  uint32_t crc = plm_crc32c(0, data, bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

static plm_status append_record(plm_tfevents *file, const message *event) {
  message record = {.length = 0};
  _Static_assert(MAX_TAG + 40 + LENGTH_BYTES + 2 * CRC_BYTES <= MAX_EVENT, "a framed event fits a message");
  put_fixed(&record, event->length, LENGTH_BYTES);
  put_fixed(&record, masked_crc(record.bytes, LENGTH_BYTES), CRC_BYTES);
  memcpy(record.bytes + record.length, event->bytes, event->length);
  record.length += event->length;
  put_fixed(&record, masked_crc(event->bytes, event->length), CRC_BYTES);
  return plm_appender_write(file->appender, record.bytes, record.length);
}

/* ---- 3 the file ---- */

/* events.out.tfevents.<time>.<host>.<pid>.<n>: TensorBoard reads a directory's files in the order of their names. */
static plm_status name_file(const char *directory, char **ret_path) {
  static _Atomic int opened;
  char host[256];
  plm_host_name(host, sizeof host);
  return plm_sprintf(ret_path, "%s/events.out.tfevents.%010lld.%s.%d.%d", directory, (long long)plm_clock_wall(), host,
                     (int)getpid(), atomic_fetch_add(&opened, 1));
}

plm_status plm_tfevents_open(const char *directory, plm_tfevents **ret_file) {
  static const char version[] = "brain.Event:2";
  plm_status status;
  plm_tfevents *file = NULL;
  char *path = NULL;
  PLM_TRY_GOTO(PLM_NEW(&file, 1), done);
  PLM_TRY_GOTO(name_file(directory, &path), done);
  PLM_TRY_GOTO(plm_appender_open(path, &file->appender), done);
  message event;
  begin_event(&event, 0);
  put_bytes(&event, 3, version, sizeof version - 1);
  PLM_TRY_GOTO(append_record(file, &event), done);
  *ret_file = file;
  file = NULL;
done:
  if (file != NULL) {
    plm_error_record first;
    plm_error_take(status, &first);
    if (plm_tfevents_close(&file) != PLM_OK) plm_error_clear();
    status = plm_error_give(&first);
  }
  plm_free(path);
  return status;
}

plm_status plm_tfevents_scalar(plm_tfevents *file, const char *tag, int64_t step, double value) {
  size_t tag_bytes = strlen(tag);
  PLM_ASSERT(tag_bytes <= MAX_TAG);
  message number = {.length = 0}, summary = {.length = 0}, event;
  put_bytes(&number, 1, tag, tag_bytes);
  put_float(&number, 2, (float)value);
  put_bytes(&summary, 1, number.bytes, number.length);
  begin_event(&event, step);
  put_bytes(&event, 5, summary.bytes, summary.length);
  return append_record(file, &event);
}

plm_status plm_tfevents_session_start(plm_tfevents *file, int64_t step) {
  static const unsigned char start[] = {1 << 3 | WIRE_VARINT, 1};
  message event;
  begin_event(&event, step);
  put_bytes(&event, 7, start, sizeof start);
  return append_record(file, &event);
}

plm_status plm_tfevents_close(plm_tfevents **closing) {
  plm_tfevents *file = *closing;
  *closing = NULL;
  if (file == NULL) return PLM_OK;
  plm_status status = plm_appender_close(&file->appender);
  plm_free(file);
  return status;
}
