/* hdf5_sources.c - the other files that datasets are in: sources of virtual ones, raw files beside the HDF5 file, and
 * files that links lead to.
 *
 * Where a source of a virtual dataset is missing or too short, libhdf5 gives rows of fill values and says nothing; so
 * they are looked for here, by the rules by which libhdf5 looks for them (reference of H5Pset_virtual,
 * H5Pset_external and H5Lcreate_external).
 */
#define _GNU_SOURCE
#if PLM_HAVE_HDF5

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/read/hdf5_input.h"

enum { DEEPEST = 16, GAP = 16 /* numbered sources that may be missing before one that is there */ };

/* ---- where libhdf5 finds a file ---- */

static bool is_hdf5(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISREG(facts.st_mode) && H5Fis_hdf5(path) > 0;
}

static bool is_any(const char *path) { return plm_file_exists(path); }

/* What a file that is looked for must be. */
typedef bool demand(const char *path);

static bool is_there(const char *directory, const char *name, demand *fits, char *ret_path) {
  const int length = directory[0] != '\0' ? snprintf(ret_path, PATH_MAX, "%s/%s", directory, name)
                                          : snprintf(ret_path, PATH_MAX, "%s", name);
  return length > 0 && length < PATH_MAX && fits(ret_path);
}

/* Empty where it is the one we are in. */
static void directory_of(const char *path, char ret_directory[PATH_MAX]) {
  snprintf(ret_directory, PATH_MAX, "%s", path);
  char *slash = strrchr(ret_directory, '/');
  if (slash == NULL)
    ret_directory[0] = '\0';
  else
    slash[slash == ret_directory] = '\0';
}

static bool is_below_prefix(const char *variable, const char *name, demand *fits, char *ret_path) {
  const char *at = getenv(variable);
  char directory[PATH_MAX];
  while (at != NULL && *at != '\0') {
    const size_t bytes = strcspn(at, ":");
    snprintf(directory, sizeof directory, "%.*s", (int)bytes, at);
    if (bytes > 0 && is_there(directory, name, fits, ret_path)) return true;
    at += bytes + (at[bytes] == ':');
  }
  return false;
}

/* An absolute name as it stands, else its last part; that in the directories of the variable, beside the file that
 * names it, where we are, and beside the file that a link there leads to. */
static bool find_file(const char *parent, const char *variable, const char *name, demand *fits,
                      char ret_path[PATH_MAX]) {
  char directory[PATH_MAX], real[PATH_MAX];
  if (name[0] == '/') {
    if (is_there("", name, fits, ret_path)) return true;
    name = plm_path_name(name);
  }
  if (is_below_prefix(variable, name, fits, ret_path)) return true;
  directory_of(parent, directory);
  if (is_there(directory, name, fits, ret_path) || is_there("", name, fits, ret_path)) return true;
  if (realpath(parent, real) == NULL) return false;
  directory_of(real, directory);
  return is_there(directory, name, fits, ret_path);
}

/* ---- links ---- */

static herr_t note_link(const char *parent, const char *group, const char *name, const char *object, unsigned *access,
                        hid_t properties, void *user) {
  plm_hdf5_input *in = user;
  char path[PATH_MAX];
  (void)group, (void)object, (void)access, (void)properties;
  if (find_file(parent, "HDF5_EXT_PREFIX", name, is_hdf5, path))
    plm_hdf5_take_source(in->taker, path);
  else
    snprintf(in->missing, sizeof in->missing, "%s", name);
  return 0;
}

void plm_hdf5_watch_links(plm_hdf5_input *in) {
  in->access = H5Pcreate(H5P_LINK_ACCESS);
  if (in->access >= 0) H5Pset_elink_cb(in->access, note_link, in);
}

static bool file_of(hid_t object, char ret_path[PATH_MAX]) {
  const ssize_t bytes = H5Fget_name(object, ret_path, PATH_MAX);
  return bytes > 0 && bytes < PATH_MAX;
}

bool plm_hdf5_is_in_file(const plm_hdf5_input *in, hid_t dataset) {
  char ours[PATH_MAX], its[PATH_MAX];
  const hid_t properties = H5Dget_create_plist(dataset);
  const bool is_plain =
      properties >= 0 && H5Pget_layout(properties) != H5D_VIRTUAL && H5Pget_external_count(properties) <= 0;
  if (properties >= 0) H5Pclose(properties);
  return is_plain && file_of(in->group, ours) && file_of(dataset, its) && strcmp(ours, its) == 0;
}

/* ---- filters ---- */

void plm_hdf5_note_filters(plm_hdf5_input *in, hid_t dataset) {
  const hid_t properties = H5Dget_create_plist(dataset);
  const int filters = properties >= 0 ? H5Pget_nfilters(properties) : 0;
  for (int i = 0; i < filters && in->lacking.id == 0; i++) {
    unsigned flags, config;
    size_t values = 0;
    char name[sizeof in->lacking.name] = "";
    const H5Z_filter_t id = H5Pget_filter2(properties, (unsigned)i, &flags, &values, NULL, sizeof name, name, &config);
    if (id < 0 || H5Zfilter_avail(id) > 0) continue;
    in->lacking.id = id;
    memcpy(in->lacking.name, name, sizeof name);
  }
  if (properties >= 0) H5Pclose(properties);
}

/* ---- raw files beside the HDF5 file ---- */

static void raw_path(const char *parent, const char *name, char ret_path[PATH_MAX]) {
  static const char origin[] = "${ORIGIN}";
  const char *prefix = getenv("HDF5_EXTFILE_PREFIX");
  char directory[PATH_MAX];
  int length;
  if (name[0] == '/' || prefix == NULL || prefix[0] == '\0') {
    length = snprintf(ret_path, PATH_MAX, "%s", name);
  } else if (strncmp(prefix, origin, sizeof origin - 1) == 0) {
    directory_of(parent, directory);
    length = snprintf(ret_path, PATH_MAX, "%s%s/%s", directory[0] != '\0' ? directory : ".", prefix + sizeof origin - 1,
                      name);
  } else {
    length = snprintf(ret_path, PATH_MAX, "%s/%s", prefix, name);
  }
  if (length < 0 || length >= PATH_MAX) ret_path[0] = '\0';
}

static plm_status check_raw_file(plm_hdf5_input *in, const char *parent, const char *name, int64_t needed) {
  char path[PATH_MAX], shown[256], have[PLM_COUNTED_TEXT], want[PLM_NUMBER_TEXT];
  struct stat facts;
  raw_path(parent, name, path);
  plm_printable(name, strlen(name), shown, sizeof shown);
  if (stat(path, &facts) != 0) {
    plm_fail(PLM_E_INPUT, "%s: the file %s, which holds the data of '%s', is missing", in->task->path, shown, in->name);
    return plm_hint(PLM_E_INPUT,
                    "HDF5 looks for it where the command is run, or below the directory in HDF5_EXTFILE_PREFIX");
  }
  if (facts.st_size < needed)
    return plm_hint(
        plm_fail(PLM_E_INPUT, "%s: the file %s, which holds the data of '%s', is cut short: it has %s of %s",
                 in->task->path, shown, in->name, plm_counted(facts.st_size, "byte", "bytes", have),
                 plm_count_text(needed, want)),
        "copy it again from where it came from");
  plm_hdf5_take_source(in->taker, path);
  return PLM_OK;
}

static plm_status check_raw_files(plm_hdf5_input *in, hid_t dataset, hid_t properties) {
  char parent[PATH_MAX], name[PATH_MAX];
  const int files = H5Pget_external_count(properties);
  const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  const hssize_t points = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  hsize_t left = points > 0 && type >= 0 ? (hsize_t)points * H5Tget_size(type) : 0;
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  if (!file_of(dataset, parent)) return plm_hdf5_failed(in, "asking for the file of a dataset");
  for (int i = 0; i < files; i++) {
    off_t offset = 0;
    hsize_t bytes = 0;
    if (H5Pget_external(properties, (unsigned)i, sizeof name, name, &offset, &bytes) < 0)
      return plm_hdf5_failed(in, "asking for the files with the data");
    name[sizeof name - 1] = '\0';
    const hsize_t here = left < bytes ? left : bytes;
    if (here > 0) PLM_TRY(check_raw_file(in, parent, name, (int64_t)offset + (int64_t)here));
    left -= here;
  }
  return PLM_OK;
}

/* ---- virtual datasets ---- */

typedef struct mapping {
  char parent[PATH_MAX]; /* the file of the virtual dataset */
  char file[PATH_MAX], dataset[PLM_HDF5_NAME];
  hid_t space;       /* what is taken of the source */
  hssize_t elements; /* of the virtual dataset that come from it; negative: as many as there are */
  int depth;
} mapping;

static plm_status check_dataset(plm_hdf5_input *in, hid_t dataset, int depth);

static plm_status refuse_source(const plm_hdf5_input *in, const char *file, const char *why, const char *hint) {
  char shown[256];
  plm_fail(PLM_E_INPUT, "%s: a source of the virtual dataset '%s', %s, %s", in->task->path, in->name,
           plm_printable(file, strlen(file), shown, sizeof shown), why);
  return plm_hint(PLM_E_INPUT, "%s", hint);
}

static plm_status missing_source(const plm_hdf5_input *in, const mapping *map) {
  char path[PATH_MAX];
  if (find_file(map->parent, "HDF5_VDS_PREFIX", map->file, is_any, path))
    return refuse_source(in, path, "is no HDF5 file", "copy it again from where it came from");
  return refuse_source(in, map->file, "is missing",
                       "put it where it was when the virtual dataset was made: a relative name is looked for "
                       "beside this file and below the directories in HDF5_VDS_PREFIX");
}

static const char changed[] =
    "the source is another than when the virtual dataset was made, or was cut short: copy it again from where it came "
    "from, or make the virtual dataset again";

/* Where the whole source is taken, only the elements that are made of it are known; where it may grow, nothing is. */
static bool is_large_enough(const mapping *map, hid_t dataset) {
  hsize_t start[H5S_MAX_RANK], end[H5S_MAX_RANK], extent[H5S_MAX_RANK];
  const hid_t space = H5Dget_space(dataset);
  const int dimensions = space >= 0 ? H5Sget_simple_extent_dims(space, extent, NULL) : -1;
  const hssize_t elements = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  if (space >= 0) H5Sclose(space);
  if (dimensions < 0) return false;
  if (H5Sget_select_type(map->space) == H5S_SEL_ALL) return map->elements < 0 || elements >= map->elements;
  if (H5Sget_simple_extent_ndims(map->space) != dimensions) return false;
  if (H5Sget_select_bounds(map->space, start, end) < 0) return true;
  for (int i = 0; i < dimensions; i++)
    if (end[i] >= extent[i]) return false;
  return true;
}

static plm_status check_source_dataset(plm_hdf5_input *in, const mapping *map, const char *path, hid_t file) {
  char why[PLM_HDF5_NAME + 64];
  const hid_t dataset = H5Oopen(file, map->dataset, in->access); /* a link there is watched too */
  snprintf(why, sizeof why, "has no dataset '%.200s'", map->dataset);
  if (dataset < 0 || H5Iget_type(dataset) != H5I_DATASET) {
    if (dataset >= 0) H5Oclose(dataset);
    return refuse_source(in, path, why, changed);
  }
  snprintf(why, sizeof why, "holds fewer rows in '%.200s' than are taken from it", map->dataset);
  plm_status status = is_large_enough(map, dataset) ? check_dataset(in, dataset, map->depth + 1)
                                                    : refuse_source(in, path, why, changed);
  H5Dclose(dataset);
  return status;
}

static plm_status check_source(plm_hdf5_input *in, const mapping *map) {
  char path[PATH_MAX];
  const bool is_own = strcmp(map->file, ".") == 0;
  if (is_own)
    snprintf(path, sizeof path, "%s", map->parent);
  else if (!find_file(map->parent, "HDF5_VDS_PREFIX", map->file, is_hdf5, path))
    return missing_source(in, map);
  if (!is_own) plm_hdf5_take_source(in->taker, path);
  const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0)
    return refuse_source(in, path, "cannot be opened by libhdf5",
                         "test it with h5ls, or copy it again from where it came from");
  plm_status status = check_source_dataset(in, map, path, file);
  H5Fclose(file);
  return status;
}

/* ---- sources with a number in their names: "part%b.h5"; as many as there are ---- */

/* False: there is no room for the name, which would be the same for all numbers. */
static bool put_number(const char *pattern, int number, char *ret_name, size_t room) {
  size_t length = 0;
  for (const char *c = pattern; *c != '\0'; c++) {
    if (length + 12 >= room) return false;
    if (c[0] != '%')
      ret_name[length++] = *c;
    else if (*++c == 'b')
      length += (size_t)snprintf(ret_name + length, room - length, "%d", number);
    else if (*c == '%')
      ret_name[length++] = '%';
    else
      break;
  }
  ret_name[length] = '\0';
  return true;
}

static bool has_number(const char *pattern) {
  for (const char *c = strchr(pattern, '%'); c != NULL && c[1] != '\0'; c = strchr(c + 2, '%'))
    if (c[1] == 'b') return true;
  return false;
}

static void numbered(const mapping *pattern, int number, mapping *ret_map) {
  *ret_map = *pattern;
  ret_map->elements = -1; /* of all of them */
  if (!put_number(pattern->file, number, ret_map->file, sizeof ret_map->file) ||
      !put_number(pattern->dataset, number, ret_map->dataset, sizeof ret_map->dataset))
    ret_map->file[0] = '\0'; /* no file is called so */
}

static bool numbered_is_there(const mapping *map) {
  char path[PATH_MAX];
  const bool is_own = strcmp(map->file, ".") == 0;
  if (!is_own && !find_file(map->parent, "HDF5_VDS_PREFIX", map->file, is_hdf5, path)) return false;
  const hid_t file = H5Fopen(is_own ? map->parent : path, H5F_ACC_RDONLY, H5P_DEFAULT);
  const bool there = file >= 0 && H5Lexists(file, map->dataset, H5P_DEFAULT) > 0;
  if (file >= 0) H5Fclose(file);
  return there;
}

/* libhdf5 takes what stands before the first that is missing for the whole. */
static plm_status check_numbered(plm_hdf5_input *in, const mapping *pattern) {
  plm_status status = PLM_OK;
  mapping *map = NULL;
  int number = 0;
  PLM_TRY(PLM_NEW(&map, 1));
  for (numbered(pattern, number, map); numbered_is_there(map); numbered(pattern, ++number, map))
    PLM_TRY_GOTO(check_source(in, map), done);
  for (int later = number + 1; later <= number + GAP; later++) {
    numbered(pattern, later, map);
    if (number > 0 && !numbered_is_there(map)) continue;
    numbered(pattern, number, map);
    PLM_TRY_GOTO(missing_source(in, map), done);
  }
done:
  plm_free(map);
  return status;
}

static plm_status check_mapping(plm_hdf5_input *in, hid_t properties, size_t i, mapping *map) {
  if (H5Pget_virtual_filename(properties, i, map->file, sizeof map->file) < 0 ||
      H5Pget_virtual_dsetname(properties, i, map->dataset, sizeof map->dataset) < 0)
    return plm_hdf5_failed(in, "asking for the sources of a virtual dataset");
  map->space = H5Pget_virtual_srcspace(properties, i);
  const hid_t target = H5Pget_virtual_vspace(properties, i);
  map->elements = target >= 0 ? H5Sget_select_npoints(target) : -1;
  if (target >= 0) H5Sclose(target);
  if (map->space < 0) return plm_hdf5_failed(in, "asking for the sources of a virtual dataset");
  plm_status status =
      has_number(map->file) || has_number(map->dataset) ? check_numbered(in, map) : check_source(in, map);
  H5Sclose(map->space);
  return status;
}

static plm_status check_mappings(plm_hdf5_input *in, hid_t dataset, hid_t properties, int depth) {
  plm_status status = PLM_OK;
  size_t count = 0;
  mapping *map = NULL;
  if (depth >= DEEPEST)
    return plm_fail(PLM_E_INPUT, "%s: virtual datasets lead to others more than %d times", in->task->path, DEEPEST);
  if (H5Pget_virtual_count(properties, &count) < 0)
    return plm_hdf5_failed(in, "asking for the sources of a virtual dataset");
  PLM_TRY(PLM_NEW(&map, 1));
  map->depth = depth;
  if (!file_of(dataset, map->parent)) PLM_TRY_GOTO(plm_hdf5_failed(in, "asking for the file of a dataset"), done);
  for (size_t i = 0; i < count; i++) PLM_TRY_GOTO(check_mapping(in, properties, i, map), done);
done:
  plm_free(map);
  return status;
}

static plm_status check_dataset(plm_hdf5_input *in, hid_t dataset, int depth) {
  const hid_t properties = H5Dget_create_plist(dataset);
  if (properties < 0) return plm_hdf5_failed(in, "asking how a dataset is stored");
  plm_status status = PLM_OK;
  plm_hdf5_note_filters(in, dataset);
  if (H5Pget_layout(properties) == H5D_VIRTUAL)
    status = check_mappings(in, dataset, properties, depth);
  else if (H5Pget_external_count(properties) > 0)
    status = check_raw_files(in, dataset, properties);
  H5Pclose(properties);
  return status;
}

plm_status plm_hdf5_check_sources(plm_hdf5_input *in) {
  if (in->sequences.dataset >= 0) PLM_TRY(check_dataset(in, in->sequences.dataset, 0));
  return in->ids.dataset >= 0 ? check_dataset(in, in->ids.dataset, 0) : PLM_OK;
}

#endif
