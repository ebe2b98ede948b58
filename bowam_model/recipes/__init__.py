"""Recipes: everything that is needed to make a set of weights again, from nothing."""

from bowam_model.recipes.shipped import ShippedRecipe, flows_of, train_shipped

__all__ = ["ShippedRecipe", "flows_of", "train_shipped"]
