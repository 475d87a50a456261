# What `make` alone prints: the targets with what stands after ## beside them. most: columns; stack: the default one.

function say(text, indent,    at) {
    while (length(text) > most) {
        for (at = most + 1; at > indent + 1 && substr(text, at, 1) != " "; at--) {}
        if (at <= indent + 1) break # one long word
        print substr(text, 1, at - 1)
        text = sprintf("%*s%s", indent, "", substr(text, at + 1))
    }
    print text
}
BEGIN { FS = ":.*## " }
/^##@/ { printf "\n%s\n", substr($0, 5) }
/^[a-zA-Z_-]+:.*## / { say(sprintf("  make %-12s %s", $1, $2), 20) }
END {
    print ""
    say("A deployed stack is named with STACK=..., by default " stack "; its region comes from AWS_REGION, " \
        "AWS_DEFAULT_REGION, the file of its answers in ops/stacks/, or the profile, in this order.", 0)
}
