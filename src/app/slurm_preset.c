/* slurm_preset.c - sites, from their published documentation; nothing here was run on them. */
#include <string.h>

#include "app/slurm.h"

static const plm_slurm_preset presets[] = {
    {.name = "setonix",
     .source =
         "Setonix: lines from Pawsey's published documentation (its pages on the GPU partition and on Slurm 22.05.8),\n"
         "as recorded in protlm's notes in November 2026. The map from cores to GPUs is the one that LUMI publishes for\n"
         "the same kind of node. Not run on Setonix: `module avail rocm` shows what it has today.",
     .partition = "gpu",
     .suffix = "-gpu",
     .gpus = 8,
     .cores_per_gpu = 8,
     .mask = "ff",
     .gpu_option = "--gres=gpu:",
     .container_flag = "--rocm",
     .modules = {"craype-accel-amd-gfx90a", "rocm"},
     .container_modules = {"singularity"},
     .needs_account = true,
     .is_slingshot = true,
     .longest = {{"gpu", 24}, {"gpu-highmem", 24}, {"gpu-dev", 4}}},
    {.name = "lumi",
     .source =
         "LUMI: lines from LUMI's published documentation (its page of example batch scripts for LUMI-G), as recorded in\n"
         "protlm's notes in November 2026. Not run on LUMI: `module avail LUMI` shows what it has today.",
     .partition = "standard-g",
     .suffix = "",
     .gpus = 8,
     .cores_per_gpu = 7, /* of each group of 8 the system keeps one */
     .mask = "fe",
     .gpu_option = "--gpus-per-node=",
     .container_flag = "--rocm",
     .modules = {"LUMI", "partition/G", "rocm"},
     .needs_account = true,
     .is_slingshot = true,
     .longest = {{"standard-g", 48}, {"small-g", 72}, {"dev-g", 3}}},
    {.name = "nvidia", .suffix = "", .gpu_option = "--gpus-per-node=", .container_flag = "--nv"},
    {.name = "cpu", .suffix = "", .gpu_option = "--gpus-per-node="},
};

const plm_slurm_preset *plm_slurm_preset_find(const char *name) {
  for (size_t i = 0; name != NULL && i < sizeof presets / sizeof *presets; i++)
    if (strcmp(presets[i].name, name) == 0) return &presets[i];
  return NULL;
}

/* GPU 0 lies beside the cores 48-55, GPU 1 beside 56-63, then 16, 24, 0, 8, 32, 40. */
void plm_slurm_append_mask(plm_text *out, const char *byte) {
  static const int bytes_below[] = {6, 7, 2, 3, 0, 1, 4, 5};
  plm_text_append(out, "mask_cpu:");
  for (size_t i = 0; i < sizeof bytes_below / sizeof *bytes_below; i++) {
    plm_text_printf(out, "%s%s", i > 0 ? "," : "", byte);
    plm_text_repeat(out, '0', 2 * (size_t)bytes_below[i]);
  }
}
