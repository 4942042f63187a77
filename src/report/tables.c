/* tables.c - settings, machine, checkpoints, and what one may do next. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/internal.h"

/* ---- settings ---- */

/* What a methods section would name; everything else is folded away below. */
static const char *const key_settings[] = {"model",
                                           "train",
                                           "eval",
                                           "eval-fraction",
                                           "dtype",
                                           "max-length",
                                           "batch-tokens",
                                           "per-device-train-batch-size",
                                           "num-train-epochs",
                                           "max-steps",
                                           "learning-rate",
                                           "lr-scheduler-type",
                                           "warmup-steps",
                                           "min-lr-ratio",
                                           "weight-decay",
                                           "adam-beta1",
                                           "adam-beta2",
                                           "adam-epsilon",
                                           "max-grad-norm",
                                           "mask-probability",
                                           "random-tokens",
                                           "seed"};

static void put_row(plm_text *html, const char *name, const char *value) {
  plm_text_append(html, "<tr><th>");
  plm_html_escape(html, name);
  plm_text_append(html, "</th><td>");
  plm_html_escape(html, value);
  plm_text_append(html, "</td></tr>\n");
}

void plm_report_settings(const plm_report_run *run, plm_text *html) {
  plm_text_append(html, "<section><h2>Settings</h2>\n");
  if (run->setting_count == 0) {
    plm_text_append(html, "<p class=\"note\">The run has no config.yaml.</p></section>\n");
    return;
  }
  plm_text_append(html, "<table class=\"pairs\"><tbody>\n");
  for (size_t i = 0; i < sizeof key_settings / sizeof *key_settings; i++) {
    const char *value = plm_report_setting(run, key_settings[i]);
    if (value != NULL) put_row(html, key_settings[i], value);
  }
  plm_text_append(html, "</tbody></table>\n<details><summary>All settings</summary><table class=\"pairs\"><tbody>\n");
  for (size_t i = 0; i < run->setting_count; i++) put_row(html, run->settings[i].name, run->settings[i].value);
  plm_text_append(html, "</tbody></table></details></section>\n");
}

/* ---- machine ---- */

static void put_json_text(plm_text *html, const char *name, const json_t *value);

/* "oneDNN 2.6.3, HDF5 1.10.8" */
static void put_json_members(plm_text *html, const json_t *object) {
  const char *name;
  json_t *value;
  bool is_first = true;
  json_object_foreach((json_t *)object, name, value) {
    plm_text_append(html, is_first ? "" : ", ");
    plm_html_escape(html, name);
    plm_text_append(html, " ");
    put_json_text(html, name, value);
    is_first = false;
  }
}

static bool contains(const char *text, const char *word) { return strstr(text, word) != NULL; }

/* Sizes and times are known by their names, since a number alone does not tell. */
static void put_json_number(plm_text *html, const char *name, double value) {
  char label[PLM_LABEL], size[PLM_NUMBER_TEXT];
  if ((contains(name, "memory") || contains(name, "bytes")) && fabs(value) < 0x1p62)
    plm_text_append(html, plm_bytes_text((int64_t)value, size));
  else if ((contains(name, "time") || contains(name, "start")) && value > 1e8)
    plm_text_append(html, plm_label_time(value, label));
  else
    plm_html_escape(html, plm_number_digits(value, 9, size));
}

static void put_json_text(plm_text *html, const char *name, const json_t *value) {
  if (json_is_string(value))
    plm_html_escape(html, json_string_value(value));
  else if (json_is_number(value))
    put_json_number(html, name, json_number_value(value));
  else if (json_is_boolean(value))
    plm_text_append(html, json_is_true(value) ? "yes" : "no");
  else if (json_is_object(value))
    put_json_members(html, value);
  else if (json_is_array(value))
    for (size_t i = 0; i < json_array_size(value); i++) {
      plm_text_append(html, i > 0 ? " " : "");
      put_json_text(html, name, json_array_get(value, i));
    }
  else
    plm_text_append(html, "\xE2\x80\x93");
}

void plm_report_machine(const plm_report_run *run, plm_text *html) {
  const char *name;
  json_t *value;
  plm_text_append(html, "<section><h2>Machine</h2>\n");
  if (!json_is_object(run->environment)) {
    plm_text_append(html, "<p class=\"note\">The run has no env.json.</p></section>\n");
    return;
  }
  plm_text_append(html, "<table class=\"pairs\"><tbody>\n");
  json_object_foreach(run->environment, name, value) {
    if (json_is_object(value) && json_object_size(value) == 0) continue;
    plm_text_append(html, "<tr><th>");
    for (const char *p = name; *p != '\0'; p++) {
      const char letter[2] = {*p == '_' ? ' ' : *p, '\0'};
      if ((unsigned char)*p < 0x80) plm_html_escape(html, letter);
    }
    plm_text_append(html, contains(name, "command") ? "</th><td><code>" : "</th><td>");
    put_json_text(html, name, value);
    plm_text_append(html, contains(name, "command") ? "</code></td></tr>\n" : "</td></tr>\n");
  }
  plm_text_append(html, "</tbody></table></section>\n");
}

/* ---- checkpoints ---- */

static void put_checkpoint(const plm_report_run *run, const plm_checkpoint_info *c, const plm_report_line *best,
                           plm_text *html) {
  char label[PLM_LABEL], size[PLM_NUMBER_TEXT];
  const plm_report_line *eval = plm_report_eval_at(run, c->step);
  bool is_best = best != NULL && plm_report_value(best, PLM_MEASURE_STEP) == (double)c->step;
  plm_text_printf(html, "<tr><th>checkpoint-%lld%s</th>", (long long)c->step,
                  is_best ? " <span class=\"chip\">lowest loss</span>" : "");
  plm_text_printf(
      html, "<td>%s</td>",
      eval != NULL ? plm_label_decimals(plm_report_value(eval, PLM_MEASURE_EVAL_LOSS), 4, label) : "\xE2\x80\x93");
  plm_text_printf(html, "<td>%s</td>",
                  eval != NULL
                      ? plm_label_decimals(plm_report_value(eval, PLM_MEASURE_EVAL_PERPLEXITY_MASKED), 2, label)
                      : "\xE2\x80\x93");
  if (c->state == PLM_CHECKPOINT_GOOD) {
    plm_text_printf(html, "<td>%s</td><td>%s</td><td>complete</td></tr>\n", plm_bytes_text(c->bytes, size),
                    plm_label_time(c->written, label));
    return;
  }
  const bool foreign = c->state == PLM_CHECKPOINT_FOREIGN;
  plm_text_append(html, foreign ? "<td colspan=\"3\">" : "<td colspan=\"3\" class=\"bad\">damaged: ");
  plm_html_escape(html, c->problem);
  plm_text_append(html, "</td></tr>\n");
}

void plm_report_checkpoints(const plm_report_run *run, plm_text *html) {
  const plm_report_line *best = plm_report_best_eval(run);
  plm_text_append(html, "<section><h2>Checkpoints</h2>\n");
  if (run->checkpoint_count == 0) {
    plm_text_append(html, "<p class=\"note\">None yet.</p></section>\n");
    return;
  }
  plm_text_append(
      html,
      "<div class=\"scroll\"><table class=\"numbers\"><thead><tr><th></th><th>evaluation loss</th><th>perplexity, &lt;mask&gt;</th>"
      "<th>size</th><th>written</th><th>state</th></tr></thead><tbody>\n");
  for (size_t i = 0; i < run->checkpoint_count; i++) put_checkpoint(run, &run->checkpoints[i], best, html);
  plm_text_append(html,
                  "</tbody></table></div>\n<p class=\"note\">Complete: every file has the size its manifest says. "
                  "<code>protlm ckpt verify</code> reads every byte.</p></section>\n");
}

/* ---- what next ---- */

static void put_command(plm_text *html, const char *what, const char *format, const char *path) {
  plm_text command = {0};
  plm_text_append(&command, "");
  for (const char *p = format; *p != '\0'; p++) {
    if (*p == '@')
      plm_text_append(&command, path);
    else
      plm_text_append_bytes(&command, p, 1);
  }
  plm_text_append(html, "<dt>");
  plm_html_escape(html, what);
  plm_text_append(html, "</dt><dd><code>");
  if (command.status == PLM_OK)
    plm_html_escape(html, command.data);
  else if (html->status == PLM_OK)
    html->status = command.status;
  plm_text_append(html, "</code></dd>\n");
  plm_text_free(&command);
}

void plm_report_next_steps(const plm_report_run *run, plm_text *html) {
  const char *path = run->directory;
  plm_text_append(html, "<section><h2>Going on</h2>\n<dl class=\"commands\">\n");
  if (run->setting_count > 0 && !run->has_final)
    put_command(html, "Continue the run (the same command does too)", "protlm train --config @/config.yaml", path);
  if (run->has_final) {
    put_command(html, "Score it on other sequences", "protlm eval --model @/final --data other.fasta", path);
    put_command(html, "Look inside a forward pass", "protlm inspect forward --model @/final --fasta some.fasta", path);
    put_command(html, "Open it in Python", "AutoModelForMaskedLM.from_pretrained(\"@/final\")", path);
  }
  put_command(html, "List and check its checkpoints", "protlm ckpt ls @ && protlm ckpt verify @", path);
  put_command(html, "Watch the curves live", "tensorboard --logdir @", path);
  put_command(html, "Make this page again", "protlm report @", path);
  plm_text_append(html, "</dl></section>\n");
}
