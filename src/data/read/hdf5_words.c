/* hdf5_words.c - what libhdf5's error stack means for whoever has the file: what is intact is not called damaged. */
#if PLM_HAVE_HDF5

#include <string.h>

#include "data/read/hdf5_input.h"

/* ---- what a dataset holds ---- */

static void field_names(hid_t type, char *ret_text, size_t room) {
  const int fields = H5Tget_nmembers(type);
  size_t length = 0;
  ret_text[0] = '\0';
  for (int i = 0; i < fields && length < room; i++) {
    char *name = H5Tget_member_name(type, (unsigned)i);
    char shown[32];
    if (name == NULL) continue;
    plm_printable(name, strlen(name), shown, sizeof shown);
    length += (size_t)snprintf(ret_text + length, room - length, "%s%s", i > 0 ? ", " : "", shown);
    H5free_memory(name);
  }
}

static void type_text(hid_t type, char *ret_text, size_t room) {
  char fields[80];
  const int bits = (int)(8 * H5Tget_size(type));
  switch (H5Tget_class(type)) {
    case H5T_STRING:
      snprintf(ret_text, room, "strings");
      break;
    case H5T_FLOAT:
      snprintf(ret_text, room, "float%d numbers", bits);
      break;
    case H5T_INTEGER:
      snprintf(ret_text, room, "%sint%d numbers", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", bits);
      break;
    case H5T_COMPOUND:
      field_names(type, fields, sizeof fields);
      snprintf(ret_text, room, "a table (fields %s)", fields);
      break;
    case H5T_ENUM:
      snprintf(ret_text, room, "categories");
      break;
    case H5T_VLEN:
      snprintf(ret_text, room, "lists of unequal length");
      break;
    case H5T_REFERENCE:
      snprintf(ret_text, room, "references");
      break;
    default:
      snprintf(ret_text, room, "something else than strings");
  }
}

static void extent_text(hid_t space, char *ret_text, size_t room) {
  hsize_t extent[H5S_MAX_RANK];
  const int dimensions = H5Sget_simple_extent_dims(space, extent, NULL);
  size_t length = 0;
  ret_text[0] = '\0';
  for (int i = 0; i < dimensions && length < room; i++)
    length += (size_t)snprintf(ret_text + length, room - length, "%s%llu%s", i == 0 ? ", [" : ", ",
                               (unsigned long long)extent[i], i + 1 == dimensions ? "]" : "");
}

const char *plm_hdf5_shape_text(hid_t dataset, char ret_text[PLM_HDF5_SHAPE]) {
  char what[112] = "what is unknown here", extent[48] = "";
  const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  if (type >= 0) type_text(type, what, sizeof what);
  if (space >= 0) extent_text(space, extent, sizeof extent);
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  snprintf(ret_text, PLM_HDF5_SHAPE, "%s%s", what, extent);
  return ret_text;
}

/* ---- writing the data anew ---- */

static const struct known_filter {
  int id;
  const char *name, *module; /* of Python, which h5py needs to read it */
} known_filters[] = {
    {H5Z_FILTER_DEFLATE, "gzip", ""},
    {H5Z_FILTER_SZIP, "szip", ""},
    {305, "lzo", ""},
    {307, "bzip2", ", hdf5plugin"},
    {32000, "lzf", ""}, /* h5py has it built in */
    {32001, "blosc", ", hdf5plugin"},
    {32004, "lz4", ", hdf5plugin"},
    {32008, "bitshuffle", ", hdf5plugin"},
    {32013, "zfp", ", hdf5plugin"},
    {32015, "zstd", ", hdf5plugin"},
    {32017, "sz", ", hdf5plugin"},
    {32018, "fcidecomp", ", hdf5plugin"},
    {32024, "sz3", ", hdf5plugin"},
    {32026, "blosc2", ", hdf5plugin"},
    {32028, "sperr", ", hdf5plugin"},
};

/* A hint: `before`, and the line by which h5py writes the datasets that are read into a file of their own. Like libhdf5,
 * h5py reads empty rows where a source of a virtual dataset is missing. */
static plm_status advise_rewriting(const plm_hdf5_input *in, const char *before, const char *module) {
  char file[PLM_SHELL_WORD], dataset[PLM_SHELL_WORD], ids[PLM_SHELL_WORD] = "", mended[PLM_MENDED_NAME];
  const char *name = in->name[0] != '\0' ? in->name : in->task->dataset;
  plm_shell_word(in->task->path, file);
  plm_shell_word(name != NULL ? name : "sequences", dataset);
  if (in->ids_name[0] != '\0' && strcmp(in->ids_name, in->name) != 0) plm_shell_word(in->ids_name, ids);
  return plm_hint(PLM_E_INPUT,
                  "%s: `python3 -c \"import sys, h5py%s; import os; f, names = h5py.File(sys.argv[1]), sys.argv[2:]; "
                  "at = os.path.dirname(sys.argv[1]); "
                  "found = lambda s: any(os.path.exists(os.path.join(d, s)) for d in (at, '')); "
                  "[sys.exit(v.file_name + ' is missing') for n in names if f[n].is_virtual "
                  "for v in f[n].virtual_sources() if not found(v.file_name.replace('%%b', '0'))]; "
                  "m = h5py.File('%s', 'w'); "
                  "[m.create_dataset(n, data=f[n][()], dtype=f[n].dtype) for n in names]\" %s %s%s%s`",
                  before, module, plm_mended_name(".h5", mended), file, dataset, ids[0] != '\0' ? " " : "", ids);
}

static plm_status lacks_filter(plm_hdf5_input *in) {
  const char *name = in->lacking.name[0] != '\0' ? in->lacking.name : "without a name", *module = ", hdf5plugin";
  for (size_t i = 0; i < sizeof known_filters / sizeof *known_filters; i++) {
    if (known_filters[i].id != in->lacking.id) continue;
    name = known_filters[i].name;
    module = known_filters[i].module;
  }
  char shown[64];
  plm_fail(PLM_E_INPUT,
           "%s: '%s' is compressed with the filter %s (number %d), which libhdf5 does not have here; the file is whole",
           in->task->path, in->name, plm_printable(name, strlen(name), shown, sizeof shown), in->lacking.id);
  if (in->group >= 0) return plm_hint(PLM_E_INPUT, "write it again without that filter, or as FASTA");
  return advise_rewriting(in, "write it again without that filter where it is installed", module);
}

/* ---- the error stack ---- */

typedef struct stack_words {
  const char *const *phrases;
  char found[256];     /* the first entry with one of the phrases */
  char innermost[256]; /* with words */
  bool lacks_memory;
} stack_words;

static herr_t look_for(unsigned n, const H5E_error2_t *error, void *user) {
  stack_words *words = user;
  const char *text = error->desc != NULL ? error->desc : "";
  if (n == 0) words->lacks_memory = error->maj_num == H5E_RESOURCE;
  if (words->innermost[0] == '\0') snprintf(words->innermost, sizeof words->innermost, "%s", text);
  for (const char *const *phrase = words->phrases; *phrase != NULL && words->found[0] == '\0'; phrase++)
    if (strstr(text, *phrase) != NULL) snprintf(words->found, sizeof words->found, "%s", text);
  return 0;
}

typedef plm_status explanation(plm_hdf5_input *in, const char *said);

static plm_status is_locked(plm_hdf5_input *in, const char *said) {
  if (strstr(said, "errno = 11") != NULL) { /* EAGAIN: somebody has it */
    plm_fail(PLM_E_INPUT, "%s: another program has this HDF5 file open for writing", in->task->path);
    return plm_hint(PLM_E_INPUT, "run again when it has closed the file");
  }
  plm_fail(PLM_E_INPUT, "%s: opening the HDF5 file failed (HDF5 says: %s)", in->task->path, said);
  return plm_hint(PLM_E_INPUT, "this file system refuses locks: set HDF5_USE_FILE_LOCKING=FALSE in the environment");
}

static plm_status is_cut(plm_hdf5_input *in, const char *said) {
  unsigned long long have = 0, base = 0, recorded = 0;
  char had[PLM_COUNTED_TEXT], wanted[PLM_NUMBER_TEXT];
  const char *numbers = strstr(said, "eof = ");
  if (numbers == NULL ||
      sscanf(numbers, "eof = %llu, sblock->base_addr = %llu, stored_%*[a-z] = %llu", &have, &base, &recorded) != 3)
    plm_fail(PLM_E_INPUT, "%s: the HDF5 file is cut short (HDF5 says: %s)", in->task->path, said);
  else
    plm_fail(PLM_E_INPUT, "%s: the HDF5 file is cut short: it has %s of %s", in->task->path,
             plm_counted((int64_t)have, "byte", "bytes", had), plm_count_text((int64_t)(base + recorded), wanted));
  return plm_hint(PLM_E_INPUT, "copy it again from where it came from, or make it again if its writer was interrupted");
}

static plm_status is_being_written(plm_hdf5_input *in, const char *said) {
  char file[PLM_SHELL_WORD], mended[PLM_MENDED_NAME];
  (void)said;
  plm_fail(PLM_E_INPUT,
           "%s: the HDF5 file is marked as open for writing: a program is writing it, or was ended before "
           "it closed the file",
           in->task->path);
  plm_shell_word(in->task->path, file);
  plm_mended_name(".h5", mended);
  return plm_hint(PLM_E_INPUT,
                  "run again when it is closed; if its writer is gone, take the mark from a copy: "
                  "`cp %s %s && h5clear -s %s`",
                  file, mended, mended);
}

static plm_status is_newer(plm_hdf5_input *in, const char *said) {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  plm_fail(PLM_E_INPUT,
           "%s: the HDF5 file is in a newer layout than libhdf5 %u.%u.%u reads, which protlm has (HDF5 "
           "says: %s)",
           in->task->path, major, minor, release, said);
  return advise_rewriting(in, "write it again in the older layout, with the h5py that made it", "");
}

static plm_status links_elsewhere(plm_hdf5_input *in, const char *said) {
  char missing[256];
  const char *name = in->missing[0] != '\0' ? in->missing : said;
  plm_fail(PLM_E_INPUT, "%s: a link in the HDF5 file leads to another file that cannot be opened: %s", in->task->path,
           plm_printable(name, strlen(name), missing, sizeof missing));
  return plm_hint(PLM_E_INPUT, "put that file where the link looks for it: beside this one, if its name is relative");
}

/* What the library says of files that are intact, or damaged in a way that has a name. */
static const struct cause {
  const char *phrases[5];
  explanation *explain;
} causes[] = {
    {{"lock file"}, is_locked}, /* "unable to lock file"; a "sblock" is a superblock */
    {{"truncated file"}, is_cut},
    {{"already open for write", "already open for SWMR"}, is_being_written},
    {{"unable to open external file"}, links_elsewhere},
    {{"version number", "unknown version", "bad version", "fail if unknown"}, is_newer},
};

static plm_status is_damaged(plm_hdf5_input *in, const char *doing, const char *cause) {
  char shown[PLM_HDF5_NAME];
  plm_fail(PLM_E_INPUT, "%s: %s failed (HDF5 says: %s)", in->task->path,
           plm_printable(doing, strlen(doing), shown, sizeof shown), cause[0] != '\0' ? cause : "nothing");
  return plm_hint(PLM_E_INPUT, "the file may be damaged: test it with h5ls, copy it again, or use FASTA");
}

plm_status plm_hdf5_failed(plm_hdf5_input *in, const char *doing) {
  static const char *const none[] = {NULL};
  stack_words words = {.phrases = none};
  for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
    words = (stack_words){.phrases = causes[i].phrases};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look_for, &words);
    if (words.found[0] != '\0') return causes[i].explain(in, words.found);
  }
  in->lacked_memory = words.lacks_memory;
  return in->lacking.id != 0 ? lacks_filter(in) : is_damaged(in, doing, words.innermost);
}

#endif
