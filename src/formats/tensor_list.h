/* tensor_list.h - tensors by name: what a file of tensors is written from, and what it is read into.
 *
 * Weights, optimiser states, batches and inspected tensors are lists: whoever owns the values makes one, and the
 * formats know nothing else of them. Values either lie in host memory already (`data`), or the list has a `fill`, which
 * gives one tensor's when its turn comes, so that there never is a second copy of them all.
 */
#ifndef PLM_FORMATS_TENSOR_LIST_H
#define PLM_FORMATS_TENSOR_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

enum { PLM_TENSOR_MAX_DIMS = 8 };

typedef struct plm_tensor_info {
  const char *name;
  const char *dtype; /* as in the file: "F32", "BF16", "I64", ... */
  int dims;
  int64_t shape[PLM_TENSOR_MAX_DIMS];
  int64_t bytes;
  const void *data; /* the values, little-endian; in a file that was read, alignment not guaranteed */
  int key;          /* the maker's own, for fill and take: which parameter, which state */
} plm_tensor_info;

/* Gives a tensor's values (tensor->bytes of them) into `buffer`. */
typedef plm_status plm_tensor_fill(void *user, const plm_tensor_info *tensor, void *buffer);

/* Accepts a tensor's values as a file has them: of this name, type and shape; alignment not guaranteed. */
typedef plm_status plm_tensor_take(void *user, const plm_tensor_info *tensor, const void *data);

typedef struct plm_tensor_list {
  plm_tensor_info *items;
  size_t count;
  plm_tensor_fill *fill; /* NULL: `data` has the values */
  plm_tensor_take *take; /* NULL: not read */
  void *user;
  const char *lacking, *foreign; /* ends of "FILE lacks NAME" and "FILE holds NAME"; NULL: none */
  size_t room;                   /* private, as is what follows */
  plm_arena *memory;
} plm_tensor_list;

/* Add a tensor at the end of a list, which is valid when zeroed. The name is copied; `data` (may be NULL) is not. */
PLM_CHECKED plm_status plm_tensor_list_add(plm_tensor_list *list, const char *name, const char *dtype, int dims,
                                           const int64_t *shape, const void *data, int key);

/* Zeroed memory that lives as long as the list: for `user`. */
PLM_CHECKED plm_status plm_tensor_list_alloc(plm_tensor_list *list, size_t bytes, void **ret_pointer);
void plm_tensor_list_free(plm_tensor_list *list);

/* One tensor's values into `buffer`, wherever they come from. */
PLM_CHECKED plm_status plm_tensor_list_fill(const plm_tensor_list *list, const plm_tensor_info *tensor, void *buffer);
int64_t plm_tensor_list_bytes(const plm_tensor_list *list);

/* Read a safetensors file that holds exactly these tensors: each is looked up and given to `take`. PLM_E_INPUT names
 * the tensor that the file lacks, holds besides, or has in another type or shape; some may have been taken by then.
 * Without `take` only the names are compared. */
PLM_CHECKED plm_status plm_tensor_list_read(const plm_tensor_list *list, const char *path);

/* "[2, 3]" */
enum { PLM_SHAPE_TEXT = 192 };
const char *plm_shape_text(int dims, const int64_t *shape, char text[PLM_SHAPE_TEXT]);

#endif
