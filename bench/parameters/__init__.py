"""The tables of the engines' parameters, and the rules of the kinds' schemas, made from the engines themselves."""
