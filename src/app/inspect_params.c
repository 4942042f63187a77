/* inspect_params.c - `protlm inspect params`: the table of parameters with what each holds. */
#include <stddef.h>
#include <string.h>

#include "app/commands.h"
#include "app/session.h"
#include "app/tensor_stats.h"
#include "base/alloc.h"
#include "base/text.h"

typedef struct params_options {
  plm_session_options session;
  plm_string_list slices;
} params_options;

static const plm_option option_list[] = {
    PLM_OPTION_MODEL(params_options, session.model),
    PLM_OPTION_RANDOM_WEIGHTS(params_options, session.random_weights),
    PLM_OPTION_SEED(params_options, session.seed),
    {
        .name = "slice",
        .type = PLM_OPT_PATHS,
        .offset = offsetof(params_options, slices),
        .group = "Output",
        .argument = "NAME[a:b,c:d]",
        .is_words = true,
        .help = "print these values; may be given several times",
    },
};

const plm_option_table *plm_inspect_params_option_table(void) {
  static const plm_option_table table = {
      .command = "inspect params",
      .summary = "list a model's parameters with statistics",
      .usage = "protlm inspect params --model M [--slice 'NAME[0:4,0:4]']",
      .description =
          "Lists every parameter under its Hugging Face name, in forward order, with shape, range, mean, standard deviation and number of NaN.",
      .examples =
          "protlm inspect params --model run/final\nprotlm inspect params --model esm2_t6_8M --random-weights\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(params_options),
  };
  return &table;
}

static plm_tensor_info describe(const plm_param *p, const float *values) {
  plm_tensor_info tensor = {.name = p->name, .dtype = "F32", .dims = p->dims, .data = values};
  memcpy(tensor.shape, p->shape, sizeof p->shape);
  return tensor;
}

/* One parameter's values stay in memory at a time, so the table of a 15B model needs little. */
static plm_status print_table(const plm_model *model, const plm_output *output) {
  const plm_params *params = plm_model_get_params(model);
  int64_t largest = 0;
  int width = 0;
  for (int i = 0; i < params->count; i++) {
    int length = (int)strlen(params->items[i].name);
    if (length > width) width = length;
    if (params->items[i].count > largest) largest = params->items[i].count;
  }
  float *values;
  PLM_TRY(PLM_NEW(&values, largest));
  plm_print_tensor_header(output, width);
  plm_status status = PLM_OK;
  for (int i = 0; i < params->count && status == PLM_OK; i++) {
    status = plm_model_get(model, i, values);
    const plm_tensor_info tensor = describe(&params->items[i], values);
    if (status == PLM_OK) plm_print_tensor_row(output, width, &tensor);
  }
  plm_free(values);
  char count[PLM_NUMBER_TEXT];
  if (status == PLM_OK)
    plm_print(output, "%s parameters (the tied embedding counted once)\n", plm_count_text(params->parameters, count));
  return status;
}

/* The slice's name decides which parameter is fetched; every other tensor is only a name to compare with. */
static plm_status print_slice(const plm_model *model, const char *slice, const plm_output *output) {
  const plm_params *params = plm_model_get_params(model);
  plm_tensor_info *tensors = NULL;
  float *values = NULL;
  plm_status status;
  PLM_TRY_GOTO(PLM_NEW(&tensors, params->count), done);
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    tensors[i] = describe(p, NULL);
    size_t length = strlen(p->name);
    if (strncmp(slice, p->name, length) != 0 || (slice[length] != '[' && slice[length] != '\0')) continue;
    PLM_TRY_GOTO(PLM_NEW(&values, p->count), done);
    PLM_TRY_GOTO(plm_model_get(model, i, values), done);
    tensors[i].data = values;
  }
  PLM_TRY_GOTO(plm_print_slice(output, slice, tensors, (size_t)params->count), done);
done:
  plm_free(values);
  plm_free(tensors);
  return status;
}

plm_status plm_inspect_params_run(const plm_option_values *values, const plm_output *output) {
  params_options *options = values->options;
  plm_session session;
  plm_status status;
  PLM_TRY(plm_session_open(&options->session, NULL, &session));
  PLM_TRY_GOTO(print_table(session.model, output), done);
  for (size_t i = 0; i < options->slices.count; i++)
    PLM_TRY_GOTO(print_slice(session.model, options->slices.items[i], output), done);
done:
  plm_session_close(&session);
  return status;
}
