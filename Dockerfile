# Circadian on CPU. The image holds production dependencies and sources; Node strips the types at start.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts \
  # onnxruntime-node ships every platform's binary; keep this one's.
  && find node_modules/onnxruntime-node/bin/napi-v6 -mindepth 1 -maxdepth 1 -type d ! -name linux -exec rm -rf {} + \
  && npm cache clean --force

FROM node:24-bookworm-slim
ENV HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json openapi.yaml ./
COPY src ./src
COPY migrations ./migrations
COPY models/order-of-operations ./models/order-of-operations
RUN install -d -o node -g node /data
USER node
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+process.env.PORT+'/livez').then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
# Not `npm start`: npm would swallow the signals.
CMD ["node", "src/main.ts"]
