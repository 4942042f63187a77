# fish completion for protlm: the program itself says what may follow
function __protlm_offer
    set -l words (commandline -opc) (commandline -ct)
    set -l name (string match -r -- '^--[^=]*=' $words[-1])
    for line in (eval $words[1] __complete (string escape -- $words[2..-1]) 2>/dev/null)
        if test "$line" = :files
            printf '%s\n' "$name"(__fish_complete_path (string replace -r -- '^--[^=]*=' '' $words[-1]))
        else
            printf '%s\n' $line
        end
    end
end
complete -c protlm -f -a '(__protlm_offer)'
