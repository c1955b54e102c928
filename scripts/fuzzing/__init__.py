"""What `segpet fuzz` is made of: a scratch world, requests by OpenAPI, and those that no viewer sends."""
