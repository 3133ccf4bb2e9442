# The control plane as an image: compiled sources, production dependencies, no embedded database.
# It listens in the container's own network and expects a MongoDB at KEELSON_MONGODB_URI.

FROM node:24-trixie AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

FROM node:24-trixie AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:24-trixie-slim
# The container's network is the boundary: whoever may reach it may call.
ENV NODE_ENV=production \
  KEELSON_HOST=0.0.0.0 \
  KEELSON_INSECURE=true
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
USER node
EXPOSE 7420
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "bin/keelson.js", "doctor", "--probe"]
ENTRYPOINT ["bin/keelson.js"]
CMD ["serve"]
