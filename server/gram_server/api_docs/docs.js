// Shows the interface of this server, under whatever path a proxy has put it.
(async () => {
  const base = new URL(".", location.href);
  const answer = await fetch(new URL("openapi.json", base));
  const spec = await answer.json();
  spec.servers = [{ url: base.href.replace(/\/$/, "") }];
  SwaggerUIBundle({ spec, dom_id: "#docs", deepLinking: true, validatorUrl: null });
})();
