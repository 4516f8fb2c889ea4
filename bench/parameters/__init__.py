"""Tables of the engines' parameters, and rules of the kinds' schemas, made from the engines themselves."""
