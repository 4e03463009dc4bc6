#!/usr/bin/env bash
# Certificates for a Dask cluster of one project: certificates.sh FOLDER [DAYS]
#
# Makes a certificate authority of its own, a certificate and a key for scheduler, workers and clients, and tls.yaml,
# which tells Dask where they are. Whoever holds a certificate of this authority is in; nobody else is. Put the folder
# where all hosts see it under the same path, readable by you alone.
set -euo pipefail

folder=${1:?"usage: certificates.sh FOLDER [DAYS]"}
days=${2:-365}
umask 077
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ -e "$folder/ca.pem" ]; then
    echo "$folder/ca.pem is there already: remove it, or keep using it" >&2
    exit 1
fi

key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

openssl req -x509 "${key[@]}" -days "$days" -subj "/CN=piazzi cluster authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$folder/ca-key.pem" -out "$folder/ca.pem" 2>/dev/null

for role in scheduler worker client; do
    openssl req "${key[@]}" -subj "/CN=piazzi $role" -keyout "$folder/$role-key.pem" -out "$folder/$role.csr" 2>/dev/null
    # Every process both calls and is called, so that each certificate serves both ways.
    openssl x509 -req -in "$folder/$role.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca-key.pem" -CAcreateserial \
        -days "$days" -out "$folder/$role.pem" 2>/dev/null \
        -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n')
    rm "$folder/$role.csr"
done

cat >"$folder/tls.yaml" <<END
distributed:
  comm:
    require-encryption: true
    tls:
      ca-file: $folder/ca.pem
      scheduler:
        cert: $folder/scheduler.pem
        key: $folder/scheduler-key.pem
      worker:
        cert: $folder/worker.pem
        key: $folder/worker-key.pem
      client:
        cert: $folder/client.pem
        key: $folder/client-key.pem
END
echo "$folder/tls.yaml: copy it to ~/.config/dask/, or export DASK_CONFIG=$folder/tls.yaml"
echo "$folder/ca-key.pem makes further certificates; keep it off the cluster"
