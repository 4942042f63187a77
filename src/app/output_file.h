/* output_file.h - result files that appear whole or not at all. */
#ifndef PLM_APP_OUTPUT_FILE_H
#define PLM_APP_OUTPUT_FILE_H

#include "io/safetensors.h"
#include "protlm/status.h"

typedef plm_status plm_output_file_fn(void *user, const char *path);

/* `write` makes a new file under the temporary name it is given; then that takes the place of `path`. Whatever fails, `path` is as it was
 * and the temporary is gone. A directory, device or pipe is never replaced: PLM_E_USAGE. */
PLM_CHECKED plm_status plm_output_file_replace(const char *path, plm_output_file_fn *write, void *user);

/* Check `path` before the work that leads to it: the same refusals, and a directory that is missing or closed. */
PLM_CHECKED plm_status plm_output_file_check(const char *path);

/* A safetensors file in place of `path` (plm_safetensors_write). */
PLM_CHECKED plm_status plm_output_file_tensors(const char *path, const plm_tensor_info *entries, size_t count, plm_tensor_fill *fill, void *user);

#endif
