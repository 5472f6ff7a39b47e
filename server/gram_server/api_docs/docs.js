// Shows the interface of this server, under whatever path a proxy has put it.
(async () => {
  const base = new URL(".", location.href);
  const answer = await fetch(new URL("openapi.json", base));
  const spec = await answer.json();
  spec.servers = [{ url: base.href.replace(/\/$/, "") }];
  // Former names would be sent beside the new ones, with their defaults, and refused.
  for (const operation of Object.values(spec.paths).flatMap(Object.values)) {
    operation.parameters = operation.parameters?.filter(({ deprecated }) => !deprecated);
  }
  SwaggerUIBundle({ spec, dom_id: "#docs", deepLinking: true, validatorUrl: null });
})();
