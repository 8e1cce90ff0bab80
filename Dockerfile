# Circadian. `docker build .` builds the CPU image, `docker build --target gpu .` the image for NVIDIA GPUs
# (docs/gpu.md). The images contain production dependencies and sources. Node strips the types at start.
#
# Base images are named by tag. To pin one by digest, append `@sha256:...` as `docker buildx imagetools inspect`
# prints it. .ci/image-steps runs the steps of the CPU image without Docker.

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts \
  # onnxruntime-node contains binaries of every platform. Keep only those of this platform.
  && find node_modules/onnxruntime-node/bin/napi-v6 -mindepth 1 -maxdepth 1 -type d ! -name linux -exec rm -rf {} + \
  && npm cache clean --force

FROM scratch AS sources
WORKDIR /app
COPY package.json openapi.yaml .npmrc ./
COPY src ./src
COPY migrations ./migrations
# The commands that need production dependencies only.
COPY scripts/backup.ts scripts/restore.ts ./scripts/
COPY scripts/backup ./scripts/backup
COPY models/order-of-operations ./models/order-of-operations
COPY models/profiles ./models/profiles

# The CUDA provider is too large for the npm package. The install script of onnxruntime-node downloads the
# matching version from NuGet.
FROM dependencies AS cuda-provider
RUN ONNXRUNTIME_NODE_INSTALL=true node node_modules/onnxruntime-node/script/install.js \
  && rm -f node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_tensorrt.so

# Neither built nor run on a GPU so far. ONNX Runtime 1.30 is assumed to be built with CUDA 13 and cuDNN 9;
# otherwise the check below names the missing libraries. The host needs a driver >= 580 and the NVIDIA
# container toolkit.
FROM nvidia/cuda:13.1.1-cudnn-runtime-ubuntu24.04 AS gpu
# `cuda` instead of `auto`: without a GPU, the GPU image must stop with an error. Without the last variable,
# ONNX Runtime 1.30 sends telemetry to Microsoft.
ENV HOST=0.0.0.0 ALLOW_ANONYMOUS=true PORT=8080 DATA_DIR=/data EXECUTION_PROVIDER=cuda ORT_DISABLE_TELEMETRY=1
WORKDIR /app
COPY --from=dependencies /usr/local/bin/node /usr/local/bin/node
COPY --from=cuda-provider /app/node_modules ./node_modules
COPY --from=sources /app ./
# Fails the build if a library that the provider links against is not in the image. libcuda belongs to the
# driver of the host.
RUN set -eu; \
  provider=node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so; \
  test -f "$provider"; \
  ldd "$provider" > /tmp/libraries; \
  cat /tmp/libraries; \
  missing=$(awk '/not found/ && !/libcuda\.so/' /tmp/libraries); \
  rm /tmp/libraries; \
  if [ -n "$missing" ]; then echo "the CUDA provider lacks: $missing" >&2; exit 1; fi; \
  node --version; \
  install -d -o 1000 -g 1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 8080
# The model is loaded before the port opens, so a large model needs a long start period.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+process.env.PORT+'/livez').then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
CMD ["node", "src/main.ts"]

FROM node:24-bookworm-slim
# NPM_CONFIG_CACHE lets `npm run migrate` work on a read-only root.
ENV HOST=0.0.0.0 ALLOW_ANONYMOUS=true PORT=8080 DATA_DIR=/data ORT_DISABLE_TELEMETRY=1 NPM_CONFIG_CACHE=/tmp/npm
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=sources /app ./
RUN install -d -o 1000 -g 1000 /data
# By number, so that Kubernetes can check `runAsNonRoot`. 1000 is the user `node`.
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+process.env.PORT+'/livez').then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
# `node` instead of `npm start`, because npm does not forward signals.
CMD ["node", "src/main.ts"]
