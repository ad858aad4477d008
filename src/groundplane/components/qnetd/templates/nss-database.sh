#!/bin/sh
# Makes an NSS database of PEM files, unless the one that is there was made of the same files. Written by groundplane.
#   nss-database PEM-FOLDER DATABASE-FOLDER OWNER:GROUP NICKNAME CA-TRUST
# The old database stays until the new one is whole.
set -eu
umask 077
pem=$1 database=$2 owner=$3 nickname=$4 trust=$5

digest=$(cat "$pem/ca.crt" "$pem/own.crt" "$pem/own.key" | sha256sum | cut -d ' ' -f 1)
if [ -f "$database/made-of" ] && [ "$(cat "$database/made-of")" = "$digest" ]; then
    exit 0
fi

new=$database.new
old=$database.old
rm -rf "$new" "$old"
mkdir -p "$new"
trap 'rm -f "$new/own.p12"' EXIT

# The files' mode protects the keys, as with the packages' own tools: the daemons read an empty password from here.
: > "$new/pwdfile.txt"
certutil -N -d "$new" -f "$new/pwdfile.txt"
certutil -A -d "$new" -f "$new/pwdfile.txt" -n "QNet CA" -t "$trust" -i "$pem/ca.crt"
openssl pkcs12 -export -in "$pem/own.crt" -inkey "$pem/own.key" -name "$nickname" -passout pass: -out "$new/own.p12"
pk12util -d "$new" -k "$new/pwdfile.txt" -i "$new/own.p12" -W ""
rm -f "$new/own.p12"
certutil -L -d "$new" -n "$nickname" > /dev/null
echo "$digest" > "$new/made-of"
chown -R "$owner" "$new"

if [ -e "$database" ]; then
    mv "$database" "$old"
fi
mv "$new" "$database"
rm -rf "$old"
