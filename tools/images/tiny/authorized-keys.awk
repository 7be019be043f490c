# Prints the SSH keys of a cloud-config: every item of every block list named
# ssh_authorized_keys, plain or in double quotes.

/^[ \t]*ssh_authorized_keys:[ \t\r]*$/ { inside = 1; next }
inside && /^[ \t]*- / {
	sub(/^[ \t]*- +/, "")
	sub(/[ \t\r]+$/, "")
	if ($0 ~ /^".*"$/) {
		$0 = substr($0, 2, length($0) - 2)
		gsub(/\\"/, "\"")
		gsub(/\\\\/, "\\")
	}
	if (!seen[$0]++) print
	next
}
!/^[ \t]*(#|$)/ { inside = 0 }
