/* options.h - one table describes an option once; parsing, help, man pages, completions, config files and the resume
 * diff follow.
 *
 * A command's options are a plain struct (say plm_train_options); a table of plm_option tells for each field its name,
 * type, default, range, group and help. Values come from, weakest first: default, preset, config file (--config, YAML),
 * environment (PROTLM_LEARNING_RATE), command line. Where each value came from is remembered (plm_option_source).
 *
 * Names are long, in the words of the Hugging Face Trainer; underscores are read as dashes. There are no abbreviations:
 * a name that is not in the table fails with the nearest one (PLM_E_USAGE). `--name value` and `--name=value`; a flag
 * may be `--flag`, `--no-flag` or `--flag=true|false`. Numbers take K/M/G (decimal for COUNT, binary for SIZE),
 * durations 90s, 90m, 2h, 1d, 1h30m, 90 (seconds, which is said) and Slurm's forms with a colon or a dash. A short option is `-b 8` or `-b=8`; `--` ends the options. A list may be given
 * again and grows; another option given twice by one source with two values is a mistake. A list from a stronger source
 * replaces that of a weaker one.
 *
 * "~", "~/x" and "~user/x" at the start of a path are expanded wherever it comes from; the expanded path is the value,
 * in config.yaml too. A directory that is really called ~ is ./~. One word of PATHS that names no file, but by its
 * commas or as a pattern does name some, is a mistake.
 *
 * A wrong name or value is PLM_E_USAGE wherever it stands, and is reported also where a stronger source hides it. A
 * configuration file that cannot be read or is no YAML is PLM_E_INPUT.
 */
#ifndef PROTLM_OPTIONS_H
#define PROTLM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

typedef enum plm_option_type {
  PLM_OPT_FLAG,     /* bool */
  PLM_OPT_INT,      /* int64_t */
  PLM_OPT_COUNT,    /* int64_t; 16K = 16000 */
  PLM_OPT_SIZE,     /* int64_t bytes; 16K = 16384 */
  PLM_OPT_NUMBER,   /* double */
  PLM_OPT_DURATION, /* double, seconds */
  PLM_OPT_STRING,   /* const char *; NULL = not given */
  PLM_OPT_PATH,     /* const char *, completed as a file name */
  PLM_OPT_CHOICE,   /* const char *, one of `choices`, separated by '|' */
  PLM_OPT_PATHS,    /* plm_string_list: may be given several times, or several words in a row */
} plm_option_type;

typedef struct plm_string_list {
  const char **items;
  size_t count;
} plm_string_list;

/* What a change of the value means when a run is resumed (design: free / with --allow-change / never). */
typedef enum plm_resume_class { PLM_RESUME_FREE, PLM_RESUME_ALLOW, PLM_RESUME_NEVER } plm_resume_class;

typedef struct plm_option {
  const char *name;    /* "learning-rate" */
  const char *aliases; /* other spellings, space separated; one letter = short option: "lr b batch-size" */
  plm_option_type type;
  size_t offset;             /* in the options struct */
  const char *default_value; /* as typed on a command line; NULL = unset (0, NULL, empty); shown in help */
  double min, max;           /* both 0 = no limit; max 0 above min > 0 = no upper limit; INFINITY = none on that side */
  bool exclusive_min;        /* value must be > min */
  bool exclusive_max;        /* value must be < max */
  const char *choices;
  const char *group;    /* heading in help; NULL = hidden (accepted, not shown) */
  const char *argument; /* "FILE", "N"; NULL = none */
  const char *help;     /* one sentence, no full stop */
  plm_resume_class resume;
  /* things to do, not settings: --help, --config, --print-config. Not in config files or the environment, but
   * PROTLM_CONFIG is */
  bool command_line_only;
  bool may_be_path;        /* STRING: a path, or a name of something: "~/x" is expanded as in PATH */
  bool is_words;           /* PATHS: words that name no files */
  const char *share_alias; /* the alias that takes a share of a whole: less than 1 */
} plm_option;

/* A name other programs use, and what to do here instead ("--fp16" -> "use --dtype bf16"). PLM_E_USAGE with that
 * advice. A name that ends in a star is the beginning of names. */
typedef struct plm_foreign_option {
  const char *name, *advice;
} plm_foreign_option;

/* Values of an option of ours, separated by blanks, that mean something in other programs and nothing here
 * (--max-steps -1). A star as above. */
typedef struct plm_foreign_value {
  const char *option, *values, *advice;
} plm_foreign_value;

typedef struct plm_option_table {
  const char *command;     /* "train" */
  const char *summary;     /* one line, for `protlm --help` and NAME in the man page */
  const char *usage;       /* "protlm train --model M --train F --output-dir D [options]" */
  const char *description; /* paragraphs separated by blank lines */
  const char *examples;    /* "# comment\nprotlm ...\n" */
  const plm_option *options;
  size_t count;
  const plm_foreign_option *foreign; /* each ends with an empty row; NULL: none */
  const plm_foreign_value *foreign_values;
  const char *positional;   /* name of positional arguments ("RUN..."); NULL = none allowed */
  size_t positional_offset; /* plm_string_list in the struct */
  bool positional_is_line;  /* they are the words of another command line: taken as they are, behind `--` alone */
  size_t struct_size;
} plm_option_table;

typedef enum plm_option_source {
  PLM_FROM_DEFAULT,
  PLM_FROM_PRESET,
  PLM_FROM_CONFIG,
  PLM_FROM_ENVIRONMENT,
  PLM_FROM_COMMAND_LINE
} plm_option_source;
const char *plm_option_source_name(plm_option_source source);

/* A parsed set: the struct, the strings it points to, and the origin of each value. */
typedef struct plm_option_values {
  const plm_option_table *table;
  void *options;             /* struct of table->struct_size */
  plm_option_source *source; /* [table->count] */
  struct plm_arena *memory;
} plm_option_values;

/* all defaults */
PLM_CHECKED plm_status plm_option_values_create(const plm_option_table *table, plm_option_values **ret_values);
void plm_option_values_destroy(plm_option_values *values); /* accepts NULL */

/* Apply one source. A weaker source never overwrites a stronger one. Errors name option, value, origin and what is
 * allowed. */
PLM_CHECKED plm_status plm_option_set(plm_option_values *values, const char *name, const char *text,
                                      plm_option_source source, const char *origin);
/* argv after the command's name */
PLM_CHECKED plm_status plm_options_parse(plm_option_values *values, int argc, char *const *argv);
PLM_CHECKED plm_status plm_options_read_environment(plm_option_values *values);
/* YAML mapping of names to scalars or lists; null leaves an option as it is */
PLM_CHECKED plm_status plm_options_read_config(plm_option_values *values, const char *path);

/* Everything in one go: command line (finding --config in it), config file, environment, defaults. */
PLM_CHECKED plm_status plm_options_load(const plm_option_table *table, int argc, char *const *argv,
                                        plm_option_values **ret_values);

/* A time as options take it, where a row is no DURATION itself. `subject` begins the message ("--time x"). What Slurm
 * would read otherwise is said. */
PLM_CHECKED plm_status plm_option_duration_read(const char *text, const char *subject, double *ret_seconds);

const plm_option *plm_option_find(const plm_option_table *table, const char *name); /* by name or alias; NULL */
plm_option_source plm_option_origin(const plm_option_values *values, const char *name);
static inline bool plm_option_given(const plm_option_values *values, const char *name) {
  return plm_option_origin(values, name) != PLM_FROM_DEFAULT;
}

/* The value as it would be typed ("0.0004", "16000", ""), for config.yaml, --print-config and diffs. Free with
 * plm_free. */
PLM_CHECKED plm_status plm_option_text(const plm_option_values *values, const plm_option *option, char **ret_text);

/* Generated texts. The configuration has one line for every option, null where there is no value, and reads back as the
 * same. Each text is allocated, ends in a newline, free with plm_free. `width` is the terminal's; 0: 80 columns. */
PLM_CHECKED plm_status plm_options_help(const plm_option_table *table, int width, bool colour, char **ret_text);
PLM_CHECKED plm_status plm_options_config(const plm_option_values *values, bool with_sources, char **ret_yaml);

/* What a shell may offer at the end of a line, a word and its description a line: "--seed\tseed of everything random".
 * The words are those after the program's name, the last the one being typed, perhaps empty; what doesn't begin as it
 * does is not left out. ":files" stands for the names of files. Bash's "--name", "=", "value" are understood. */
PLM_CHECKED plm_status plm_options_complete(const plm_option_table *const *tables, size_t count, int argc,
                                            char *const *argv, char **ret_text);

/* The tables, without what is hidden, as lines of fields between tabs, in which backslash, tab and newline are written
 * as in C:
 *   table   command summary usage description examples
 *   option  name aliases type argument default range choices group help    of the table above it */
PLM_CHECKED plm_status plm_options_dump(const plm_option_table *const *tables, size_t count, char **ret_text);

void plm_string_free(char *text); /* for the allocated texts above; accepts NULL */

#endif
