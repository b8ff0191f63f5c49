# Sallyport as a container.
#
#   docker build -t sallyport .
#   docker run -d --name sallyport \
#     -v /srv/sallyport:/etc/sallyport:ro -v sallyport-state:/var/lib/sallyport \
#     -p 143:143 -p 993:993 -p 110:110 -p 995:995 -p 25:25 -p 587:587 -p 465:465 sallyport
#
# /etc/sallyport       sallyport.yaml, and the certificates and secrets that it names; readable by uid 10025.
#                      Keys and secrets must belong to uid 10025 (or root, where it can read them) and be its owner's
#                      only: chown 10025 key.pem && chmod 600 key.pem (or 400); anything more open is refused.
# /var/lib/sallyport   state and control socket (dataDir); keep it
#
# It runs as uid 10025, never as root. Ports below 1024 need nothing on a current Docker, which lets every container
# bind them (net.ipv4.ip_unprivileged_port_start is 0). Elsewhere, or with --network host, either listen on higher
# ports, or run with --sysctl net.ipv4.ip_unprivileged_port_start=0, or with --cap-add NET_BIND_SERVICE together with
# --user 0 and `user: sallyport` in the settings: a capability alone does not reach a process that is not root.
# Keys in PKCS#11 tokens: in an image FROM this one install libengine-pkcs11-openssl and the module of the token, and let
# uid 10025 reach it.
# SIGTERM drains: give `docker stop` as much time as timeouts.drain (--time), and many connections enough open files
# (--ulimit nofile=65536).

FROM node:26-slim AS build
WORKDIR /app
ENV NODE_ENV=development
COPY package.json package-lock.json ./
# The image's own Node is the one that runs: the development dependency `node` need not download another.
RUN npm ci --no-audit --no-fund --ignore-scripts
# pkcs11js, for keys in tokens, is compiled here: it is the one package that has to be, with the headers of this Node.
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make python3 \
 && npm_config_nodedir=/usr/local npm rebuild pkcs11js --foreground-scripts \
 && rm -rf node_modules/pkcs11js/build/Release/obj.target /var/lib/apt/lists/*
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev --no-audit --no-fund --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production
RUN groupadd --system --gid 10025 sallyport \
 && useradd --system --uid 10025 --gid sallyport --no-create-home --home-dir /var/lib/sallyport \
      --shell /usr/sbin/nologin sallyport \
 && install -d -o sallyport -g sallyport -m 0700 /var/lib/sallyport \
 && install -d -m 0755 /etc/sallyport
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE README.md ./
COPY config config
RUN ln -s /app/dist/bin.js /usr/local/bin/sallyport \
 && ln -s /app/dist/msgcert.js /usr/local/bin/msgcert \
 && chmod 0755 dist/bin.js dist/msgcert.js
USER 10025:10025
VOLUME ["/etc/sallyport", "/var/lib/sallyport"]
EXPOSE 25 110 143 465 587 993 995
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["sallyport", "status"]
ENTRYPOINT ["sallyport", "serve"]
