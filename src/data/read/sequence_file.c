/* sequence_file.c - telling formats apart. What is none of them: foreign_file.h. */
#include "data/read/sequence_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/read/foreign_file.h"
#include "data/plmd_format.h"

static bool starts_with(const plm_mapping *file, size_t at, const char *magic, size_t bytes) {
  return at + bytes <= file->bytes && memcmp((const char *)file->data + at, magic, bytes) == 0;
}

/* HDF5 allows a block of the user's before its signature, which then stands at 512, 1024, 2048, ... */
static bool is_hdf5(const plm_mapping *file) {
  static const char signature[] = "\x89HDF\r\n\x1a\n";
  if (starts_with(file, 0, signature, 8)) return true;
  for (size_t at = 512; at <= 1 << 20; at *= 2)
    if (starts_with(file, at, signature, 8)) return true;
  return false;
}

enum { LOOK_BYTES = 1 << 18 };

static plm_status tell_format(const plm_mapping *file, const char *path, plm_sequence_format *ret_format) {
  if (file->bytes == 0) return plm_fail(PLM_E_INPUT, "%s: the file is empty", path);
  if (starts_with(file, 0, PLMD_MAGIC, PLMD_MAGIC_BYTES))
    *ret_format = PLM_FORMAT_PLMD;
  else if (is_hdf5(file))
    *ret_format = PLM_FORMAT_HDF5;
  else if (!starts_with(file, 0, "\x1f\x8b", 2)) /* what gzip holds is looked at when it is read */
    return plm_foreign_file_check(path, false, (const char *)file->data,
                                  file->bytes < LOOK_BYTES ? file->bytes : LOOK_BYTES);
  return PLM_OK;
}

plm_status plm_sequence_file_format(const char *path, plm_sequence_format *ret_format) {
  struct stat info;
  *ret_format = PLM_FORMAT_TEXT;
  if (strcmp(path, "-") == 0) return PLM_OK;
  if (stat(path, &info) != 0) {
    plm_fail(PLM_E_INPUT, "%s: %s", path, errno == ENOENT ? "there is no such file" : strerror(errno));
    return errno == ENOENT ? plm_hint(PLM_E_INPUT, "check the spelling; relative paths start where the command is run")
                           : PLM_E_INPUT;
  }
  if (S_ISDIR(info.st_mode))
    return plm_hint(plm_fail(PLM_E_INPUT, "%s: this is a directory, not a sequence file", path),
                    "name the files in it");
  if (!S_ISREG(info.st_mode)) return PLM_OK;
  plm_mapping file;
  PLM_TRY(plm_file_map(path, &file));
  plm_status status = tell_format(&file, path, ret_format);
  plm_file_unmap(&file);
  return status;
}
