# Prints what a NoCloud network-config (version 2) asks for, one instruction a
# line: mac, name, mtu, address, gateway, dns. Lists may be blocks or [a, b].
# Within an interface the address of its card comes first whatever the order.

function clean(text) {
	sub(/[ \t]+#.*$/, "", text)
	gsub(/^[ \t]+|[ \t\r]+$/, "", text)
	gsub(/^["']|["']$/, "", text)
	return text
}

function flush(i) {
	if (mac != "") {
		print "mac", mac
		for (i = 1; i <= count; i++) print lines[i]
	}
	mac = ""
	count = 0
}

function emit(key, value, parts, n, i) {
	if (value ~ /^\[.*\]$/) {
		n = split(substr(value, 2, length(value) - 2), parts, ",")
		for (i = 1; i <= n; i++) emit(key, clean(parts[i]))
		return
	}
	if (value == "") return
	if (key == "macaddress") mac = tolower(value)
	else if (key == "set-name") lines[++count] = "name " value
	else if (key == "mtu") lines[++count] = "mtu " value
	else if (key == "gateway4") gateways[++held] = "gateway " value
	else if (key == "addresses" && parent == "nameservers") lines[++count] = "dns " value
	else if (key == "addresses") lines[++count] = "address " value
}

# A route needs its interface's address first.
function end_interface(i) {
	for (i = 1; i <= held; i++) lines[++count] = gateways[i]
	held = 0
	flush()
}

/^[ \t]*(#|$)/ { next }
{
	match($0, /^ */)
	indent = RLENGTH
	text = clean($0)
}
text ~ /^- / {
	emit(list, clean(substr(text, 3)))
	next
}
{
	colon = index(text, ":")
	key = clean(substr(text, 1, colon - 1))
	value = clean(substr(text, colon + 1))
	if (key == "ethernets") { inside = 1; base = indent; next }
	if (!inside) next
	if (indent <= base) { inside = 0; next }
	if (level == 0 || indent <= level) { end_interface(); level = indent; next }
	if (value == "") {
		list = key
		if (key != "addresses") { parent = key; depth = indent }
		else if (indent <= depth) parent = ""
		next
	}
	if (indent <= depth) parent = ""
	emit(key, value)
}
END { end_interface() }
