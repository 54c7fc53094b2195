// Starts whichever of the two readers the page has loaded.
const place = document.getElementById("docs");
const openapi = place.dataset.openapi;

if (window.SwaggerUIBundle) {
  SwaggerUIBundle({
    url: openapi,
    domNode: place,
    deepLinking: true,
    persistAuthorization: false,
    // The online validator would be a request to another host.
    validatorUrl: null,
  });
} else {
  Redoc.init(openapi, { disableSearch: false, hideDownloadButton: true }, place);
}
